"""Whether replicas have the same secrets, without any of them in the database."""

from __future__ import annotations

import hashlib

from shared.settings import Secret


def digest(administrator: Secret, watchdog: Secret) -> str:
    """Of both. Blocks for some 50 ms: guessing a secret from it costs as much for each guess."""
    both = f"{administrator.reveal()}\n{watchdog.reveal()}".encode()
    return hashlib.scrypt(both, salt=b"veilleur replicas", n=2**14, r=8, p=1, dklen=16).hex()
