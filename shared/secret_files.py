"""Makes secrets at first start: one program makes the file, the other one reads it."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from shared import secret_text
from shared.settings import Fault, Secret, SettingsError, secret


def read_or_create(folder: Path, name: str) -> Secret:
    """The secret in ``folder/name``; made atomically with mode 0600 when it is not there.

    Raises ``OSError`` when the folder cannot be written and :class:`SettingsError` when the file
    holds no secret.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / name
    if not os.path.lexists(target):
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
    return _checked(folder, target)


def _checked(folder: Path, target: Path) -> Secret:
    """The secret of a file of this user, of root or of the folder's owner, and of no one else."""
    variable, kind = target.name.upper().replace("-", "_"), secret()
    try:
        found = target.stat()
        if found.st_uid not in (os.geteuid(), 0, folder.stat().st_uid):
            raise secret_text.NotASecret(f"a file of its folder's owner; this one is of uid {found.st_uid}")
        if found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o077:
            target.chmod(0o600)
        value: Secret = kind.parse(secret_text.read(target))
    except OSError as error:
        rule = f"a readable file ({error.strerror})"
    except secret_text.NotASecret as refused:
        rule = str(refused)
    except ValueError:
        rule = kind.accepts
    else:
        return value
    advice = f"{rule}. Set {variable}, or delete it to have a new secret made"
    raise SettingsError([Fault(variable, str(target), advice)])
