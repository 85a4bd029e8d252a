"""The engine worker of a test: the product's own worker runs unchanged, and trusts the fake server once it has loaded the engine.

    python -m tests.fake_whatsapp.worker <arguments of bot_service.engines.worker.main>

`FAKE_WHATSAPP_ROOT_KEY` holds the key of the fake server in hex. A process that does not load the engine is not touched.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from bot_service.engines.worker import main as worker
from tests.fake_whatsapp import engine_key

NATIVE = "bot_service.engines.neonize.native"


class TrustAfterLoading(MetaPathFinder):
    """The module that loads the engine is found as always; when it has run, the trusted key is replaced."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != NATIVE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            raise ImportError(f"{NATIVE} is gone: the fake server needs to know which module loads the engine")
        execute = spec.loader.exec_module

        def and_trust(module: ModuleType) -> None:
            execute(module)
            engine_key.install(bytes.fromhex(os.environ["FAKE_WHATSAPP_ROOT_KEY"]))

        spec.loader.exec_module = and_trust  # type: ignore[method-assign]
        return spec


def main() -> None:
    sys.meta_path.insert(0, TrustAfterLoading())
    worker.main(sys.argv[1:])


if __name__ == "__main__":
    main()
