"""Loads neonize's binding without its clients.

Importing neonize itself loads image, telephone and link libraries, sets up logging, starts a thread, needs libmagic, and downloads the
native library when it is missing. None of that is wanted: it costs 20 MB and half a second per worker, and a worker must never fetch
code. So the package and the modules that pull all that in are put in place empty before the binding is imported.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from types import ModuleType

# What this engine was written and proved for; the tests of the wire run against exactly this.
PINNED = "0.5.2"


class WrongEngine(ImportError):
    """neonize is missing, or is another version than the pinned one."""


def prepare() -> None:
    """Call it once before anything of neonize is imported. Raises :class:`WrongEngine`."""
    if "neonize._binder" in sys.modules:
        return
    # Without it the library marks every message as written by a bot. It reads the variable when it is loaded.
    os.putenv("NEONIZE_BOT_TAG", "off")
    spec = importlib.util.find_spec("neonize")
    if spec is None or not spec.submodule_search_locations:
        raise WrongEngine("neonize is not installed")
    found = version("neonize")
    if found != PINNED:
        raise WrongEngine(f"neonize {found} is installed, {PINNED} is needed")
    root = next(iter(spec.submodule_search_locations))
    for name, folder in (("neonize", root), ("neonize.utils", os.path.join(root, "utils"))):
        if name not in sys.modules:
            empty = ModuleSpec(name, None, is_package=True)
            empty.submodule_search_locations = [folder]
            sys.modules[name] = importlib.util.module_from_spec(empty)
    if "neonize.download" not in sys.modules:
        download = ModuleType("neonize.download")
        download.__dict__["__GONEONIZE_VERSION__"] = PINNED
        download.__dict__["download"] = _refuse
        sys.modules["neonize.download"] = download


def _refuse() -> None:
    raise WrongEngine("the native library of neonize is missing or of another version; it is never downloaded")
