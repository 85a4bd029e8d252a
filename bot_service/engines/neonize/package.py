"""Loads neonize's binding without its clients.

Importing neonize loads image, telephone and link libraries, sets up logging, starts a thread, needs
libmagic, and downloads a missing native library. That costs 20 MB and half a second per worker, and
a worker must never download code. So empty modules take the place of the package and of the modules
that import all that, before the binding is imported.
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

# The version that this engine was written for and is tested with.
PINNED = "0.5.2"


class WrongEngine(ImportError):
    """neonize is missing, or is another version than the pinned one."""


def prepare(copy: Path | None = None) -> bool:
    """Call it once before neonize is imported. Raises :class:`WrongEngine`.

    The binding loads ``copy`` instead of the built-in library; False when it cannot be loaded.
    """
    if "neonize._binder" in sys.modules:
        return copy is None
    # Without it the library marks every message as written by a bot. It reads the variable when it
    # is loaded.
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
    # The binding gets the file name of the library from this module; an absolute path is used as it
    # is.
    platform = ModuleType("neonize.utils.platform")
    platform.__dict__["generated_name"] = lambda: str(copy)
    sys.modules["neonize.utils.platform"] = platform
    return True


def _refuse() -> None:
    raise WrongEngine("the native library of neonize is missing or of another version; it is never downloaded")
