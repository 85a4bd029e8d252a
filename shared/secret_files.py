"""Makes secrets at first start: one program makes the file, the other one reads it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from shared.settings import Secret


def read_or_create(folder: Path, name: str) -> Secret:
    """The secret in ``folder/name``; made atomically with mode 0600 when it is not there.

    Raises ``OSError`` when the folder cannot be written and ``ValueError`` when the file is empty.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / name
    if not target.exists():
        draft = folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_urlsafe(32).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            # A link fails when the target exists: two programs that start together keep one value.
            os.link(draft, target)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    value = target.read_text(encoding="ascii").strip()
    if not value:
        raise ValueError(f"{target} is empty: delete it to have a new secret made")
    return Secret(value)
