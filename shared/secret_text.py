"""Reads a file that holds a secret; what is not a plain small text file is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LONGEST_BYTES = 65_536


class NotASecret(Exception):
    """The file cannot be used. The text is what a usable one is, without the content of this one."""


def read(path: Path) -> str:
    """The text of ``path`` without white space around it. Never waits. Raises :class:`NotASecret`."""
    try:
        # A FIFO without a writer would hold up the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise NotASecret(f"a readable file ({error.strerror})") from None
    except ValueError:  # a NUL in the path
        raise NotASecret("the path of a readable file") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotASecret(f"a regular file; this is {_kind(found.st_mode)}")
        if found.st_mode & stat.S_IWOTH:
            raise NotASecret("a file that others cannot write to: chmod o-w")
        if found.st_size > LONGEST_BYTES:
            raise NotASecret(f"a file of at most {LONGEST_BYTES} bytes")
        raw = os.read(descriptor, LONGEST_BYTES + 1)
    except OSError as error:
        raise NotASecret(f"a readable file ({error.strerror})") from None
    finally:
        os.close(descriptor)
    try:
        text = raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise NotASecret("a readable file of UTF-8 text; this one is binary") from None
    if "\0" in text:
        raise NotASecret("a readable file of UTF-8 text; this one is binary")
    if not text:
        # The operator meant to set a secret: without it, access could stay open.
        raise NotASecret("a file that is not empty")
    return text


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "something else"
