"""Specifications of other projects: beside this folder, or where REFERENCE_DATA says. They are not part of this project."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT

REFERENCES = Path(os.environ.get("REFERENCE_DATA") or ROOT.parent / "shared" / "data")
WAHA, EVOLUTION = "waha-openapi-2026.7.1.json", "evolution-openapi-v2.json"


def specification_of(file: str) -> dict[str, Any]:
    """The document; the test is skipped without it."""
    if not (REFERENCES / file).exists():
        pytest.skip(f"needs {file} in REFERENCE_DATA (.ci/run passes it on)")
    return dict(_with_null(json.loads((REFERENCES / file).read_text())))


def _with_null(schema: Any) -> Any:
    """``nullable`` is a word of OpenAPI 3.0; validators know it as a type."""
    if isinstance(schema, list):
        return [_with_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _with_null(each) for name, each in schema.items()}
    if found.pop("nullable", False) and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


def pattern(path: str) -> re.Pattern[str]:
    """The path of an operation, its parameters filled with anything."""
    return re.compile(re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(path)))
