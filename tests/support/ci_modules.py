"""Modules of the folder .ci, which is no package."""

from __future__ import annotations

import importlib.util
from typing import Any

from tests.support.processes import ROOT


def ci_module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
