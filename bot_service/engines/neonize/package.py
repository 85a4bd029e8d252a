"""Loads neonize's binding without its clients.

Importing neonize itself loads image, telephone and link libraries, sets up logging, starts a thread, needs libmagic, and downloads the
native library when it is missing. None of that is wanted: it costs 20 MB and half a second per worker, and a worker must never fetch
code. So the package and the modules that pull all that in are put in place empty before the binding is imported.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from shared import logs

log = logs.get(__name__)

# What this engine was written and proved for; the tests of the wire run against exactly this.
PINNED = "0.5.2"


class WrongEngine(ImportError):
    """neonize is missing, or is another version than the pinned one."""


def prepare(copy: Path | None = None) -> bool:
    """Call it once before anything of neonize is imported. Raises :class:`WrongEngine`.

    The binding loads ``copy`` instead of the built-in library. False when it cannot be loaded: the built-in one is used then.
    """
    if "neonize._binder" in sys.modules:
        return copy is None
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
    return copy is None or _use(copy)


def _use(copy: Path) -> bool:
    try:
        ctypes.CDLL(str(copy))
    except OSError as error:
        log.error(
            f"The copy of the native library cannot be loaded, the built-in one is used: {error}",
            event_name="engine.library.copy_failed",
        )
        return False
    # The binding asks this module for the name of the library's file beside itself; an absolute path replaces that place.
    platform = ModuleType("neonize.utils.platform")
    platform.__dict__["generated_name"] = lambda: str(copy)
    sys.modules["neonize.utils.platform"] = platform
    return True


def _refuse() -> None:
    raise WrongEngine("the native library of neonize is missing or of another version; it is never downloaded")
