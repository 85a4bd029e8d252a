"""Copies of the native library that announce another client build. Used by the API process too.

When it is loaded, the library computes its login payload and the build hash of a pairing from one
constant: three little-endian 32-bit numbers (2, 3000, build). A change in memory would come too
late, so the change is made in a copy of the file.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import mmap
import os
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from bot_service.domain.client_version import HIGHEST_BUILD, LOWEST_BUILD
from bot_service.engines.port import CopyError

_MARK = struct.pack("<II", 2, 3000)
_PART = ".part"
_PIECE = 1 << 20


def installed() -> Path:
    """The native library as it was installed. Raises :class:`CopyError`."""
    spec = importlib.util.find_spec("neonize")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = sorted(file for folder in folders for file in Path(folder).glob("neonize-*.so"))
    if len(found) != 1:
        raise CopyError("not_installed", f"{len(found)} native libraries of neonize are installed, one is expected")
    return found[0]


def builtin_build() -> int:
    """The build that the installed library announces. Raises :class:`CopyError`."""
    return _place_of_build(installed())[0]


def find_build(library: bytes | mmap.mmap) -> tuple[int, int]:
    """(build, offset of its four bytes). Raises :class:`CopyError` unless there is exactly one."""
    found = []
    at = library.find(_MARK)
    while at >= 0:
        if at % 4 == 0 and at + 12 <= len(library):
            (build,) = struct.unpack_from("<I", library, at + 8)
            if LOWEST_BUILD <= build <= HIGHEST_BUILD:
                found.append((build, at + 8))
        at = library.find(_MARK, at + 1)
    if len(found) != 1:
        raise CopyError("not_unique", f"{len(found)} places of the native library look like the client version")
    return found[0]


def make(build: int, folder: Path) -> Path:
    """A copy in ``folder`` that announces ``build``: an existing whole one, or a new one.

    Blocks for about 0.1 s. A kill leaves either no copy or a whole one. Raises :class:`CopyError`.
    """
    source = installed()
    builtin, offset = _place_of_build(source)
    target = folder / f"{source.stem}-{builtin}-as-{build}.so"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_whole(target, source, offset, build):
            _write(target, source, offset, build)
            if not _is_whole(target, source, offset, build):
                raise CopyError("damaged", f"{target} does not hold what was written")
        _check_executable(target)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise CopyError("no_space" if full else "not_writable", f"{folder}: {error.strerror}") from error
    return target


def remove_others(folder: Path, keep: Collection[int]) -> None:
    """Deletes every copy but those of ``keep``, and partial files. Processes keep a loaded copy."""
    ends = tuple(f"-as-{build}.so" for build in keep)
    with contextlib.suppress(OSError):  # an unwritable folder keeps old copies
        for file in folder.glob("neonize-*"):
            if not file.name.endswith(ends):
                file.unlink(missing_ok=True)


# The file is 18 MB: mapped and copied in pieces, to save memory.


def _place_of_build(library: Path) -> tuple[int, int]:
    try:
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
            return find_build(content)
    except (OSError, ValueError) as error:
        raise CopyError("not_installed", f"{library}: {error}") from error


def _pieces(source: Path, offset: int, build: int) -> Iterator[bytes]:
    """The library with ``build`` in its place."""
    changed = struct.pack("<I", build)
    with source.open("rb") as file:
        at = 0
        while piece := file.read(_PIECE):
            if at <= offset < at + len(piece):
                place = offset - at
                # The number never crosses a border: both are multiples of four.
                piece = piece[:place] + changed + piece[place + len(changed) :]
            yield piece
            at += _PIECE


def _is_whole(target: Path, source: Path, offset: int, build: int) -> bool:
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        return False
    with target.open("rb") as file:
        # Page by page: a worker that touches one byte of a large page-cache piece maps all of it.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        return all(file.read(len(piece)) == piece for piece in _pieces(source, offset, build))


def _write(target: Path, source: Path, offset: int, build: int) -> None:
    part = target.with_name(target.name + _PART)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(_pieces(source, offset, build))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _check_executable(target: Path) -> None:
    with target.open("rb") as file:
        try:
            mmap.mmap(file.fileno(), mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
        except PermissionError as error:
            detail = f"{target.parent} is on a file system that does not allow programs (noexec)"
            raise CopyError("not_executable", detail) from error
