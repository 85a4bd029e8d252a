"""Lets the engine in this process trust the fake server: its built-in root key is replaced in memory. For test workers only.

The engine checks the server's certificate chain against 32 bytes that are compiled in. They must be found exactly once in the pinned
library and lie in a writable segment; anything else raises `EngineKeyError`, so that a new version of the engine fails loudly here.
"""

from __future__ import annotations

import ctypes
import importlib.util
import struct
from pathlib import Path

WHATSAPP_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
LOADABLE, WRITABLE = 1, 2


class EngineKeyError(RuntimeError):
    """The pinned engine is not the one that this replacement was written for."""


def find(library: bytes) -> int:
    """The virtual address of the trusted key in an ELF library; raises `EngineKeyError` unless it is unique and writable."""
    offset = library.find(WHATSAPP_ROOT)
    if offset < 0:
        raise EngineKeyError("the trusted key is not in the library")
    if library.find(WHATSAPP_ROOT, offset + 1) >= 0:
        raise EngineKeyError("the trusted key is in the library more than once")
    (table,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    for index in range(count):
        kind, flags, start, address, _, length, _, _ = struct.unpack_from("<IIQQQQQQ", library, table + index * size)
        if kind == LOADABLE and start <= offset < start + length:
            if not flags & WRITABLE:
                raise EngineKeyError("the trusted key lies in a segment that is not writable")
            return int(address) + offset - int(start)
    raise EngineKeyError("the trusted key lies in no segment")


def library_file() -> Path:
    """The engine's native library as installed."""
    spec = importlib.util.find_spec("neonize")
    places = list(spec.submodule_search_locations or []) if spec else []
    found = sorted(file for place in places for file in Path(place).glob("neonize-linux-*.so"))
    if len(found) != 1:
        raise EngineKeyError(f"{len(found)} native libraries are installed")
    return found[0]


def install(public: bytes) -> None:
    """Make the engine loaded in this process trust `public` (32 bytes) instead of WhatsApp's key; raises `EngineKeyError`.

    The product loads the installed library or a copy that announces another version; both have the same layout.
    """
    address = _base_of(library_file().stem) + find(library_file().read_bytes())
    current = ctypes.string_at(address, len(WHATSAPP_ROOT))
    if current not in (WHATSAPP_ROOT, public):
        raise EngineKeyError("other bytes than the trusted key are in memory")
    ctypes.memmove(address, public, len(public))
    if ctypes.string_at(address, len(public)) != public:
        raise EngineKeyError("the trusted key did not change")


def _base_of(stem: str) -> int:
    starts: dict[str, int] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, _, file = line.partition("/")
        if Path(file.removesuffix(" (deleted)")).name.startswith(stem):
            start = int(place.split("-")[0], 16)
            starts[file] = min(start, starts.get(file, start))
    if len(starts) != 1:
        raise EngineKeyError(f"{len(starts)} engines are loaded, one is expected")
    return next(iter(starts.values()))
