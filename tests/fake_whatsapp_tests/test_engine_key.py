"""The trusted key is replaced only in the engine that this was written for; anything else fails loudly."""

from __future__ import annotations

import ast
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from bot_service.engines.neonize import library_copy
from tests.fake_whatsapp import engine_key
from tests.fake_whatsapp.engine_key import LOADABLE, WHATSAPP_ROOT, WRITABLE, EngineKeyError

ROOT = Path(__file__).resolve().parents[2]


def library(*, copies: int = 1, flags: int = WRITABLE, start: int = 0) -> bytes:
    """A file with one segment that begins at ``start`` and is mapped at 0x5000."""
    head = bytearray(64)
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, 1)
    segment = struct.pack("<IIQQQQQQ", LOADABLE, flags, start, 0x5000, 0, 4096, 4096, 4096)
    return bytes(head) + segment + b"before" + WHATSAPP_ROOT * copies + bytes(100)


def test_the_key_of_the_pinned_engine_is_found_once_and_writable() -> None:
    assert engine_key.find(engine_key.library_file().read_bytes()) > 0


def test_the_address_counts_from_its_segment() -> None:
    raw = library()
    assert engine_key.find(raw) == 0x5000 + raw.find(WHATSAPP_ROOT)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (library(copies=0), "not in the library"),
        (library(copies=2), "more than once"),
        (library(flags=4), "not writable"),
        (library(start=4096), "no segment"),
    ],
)
def test_another_engine_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(EngineKeyError, match=why):
        engine_key.find(raw)


LOAD = """
import ctypes, os, sys
from tests.fake_whatsapp import engine_key
for name in sys.argv[2:]:
    ctypes.CDLL(name)
if sys.argv[1] == "delete":
    os.remove(sys.argv[2])
try:
    engine_key.install(bytes(32))
except engine_key.EngineKeyError as error:
    print(error)
else:
    print("installed")
"""


def installing(what: str, *libraries: Path) -> str:
    """What comes of it in a process that loaded these libraries."""
    command = [sys.executable, "-c", LOAD, what, *map(str, libraries)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("what", ["keep", "delete"])
def test_the_key_is_replaced_in_the_copy_that_was_loaded(tmp_path: Path, what: str) -> None:
    copy = library_copy.make(1_052_000_000, tmp_path)
    assert installing(what, copy) == "installed"


def test_a_process_without_the_engine_is_refused() -> None:
    assert installing("keep") == "0 engines are loaded, one is expected"


def test_the_product_imports_nothing_of_the_fake_server() -> None:
    for package in ("bot_service", "watchdog", "shared"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                assert not [name for name in names if name.split(".")[0] == "tests"], file
