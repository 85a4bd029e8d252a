"""Proof of identity: the holder of WATCHDOG_TOKEN answers a challenge without sending the token.

The caller sends a random challenge in :data:`CHALLENGE_HEADER` with ``GET /health``; the answer
holds ``proof``, an HMAC-SHA256 over the program's name, its boot id and the challenge.
"""

from __future__ import annotations

import hmac
import re
import secrets

from shared.settings import Secret

CHALLENGE_HEADER = "X-Veilleur-Challenge"
BOT = "bot"
WATCHDOG = "watchdog"
_CHALLENGE = re.compile(r"[0-9a-f]{32,64}")


def new_challenge() -> str:
    """128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(16)


class Identity:
    """Makes and checks the proofs of one ``token``."""

    def __init__(self, token: Secret) -> None:
        # A key of its own: a proof is no use as anything else that the token may sign.
        self._key = hmac.digest(token.reveal().encode(), b"veilleur identity 1", "sha256")

    def proof(self, program: str, boot_id: str, challenge: str | None) -> str | None:
        """64 hexadecimal digits; None without a challenge or with one of another form."""
        if challenge is None or not _CHALLENGE.fullmatch(challenge):
            return None
        return hmac.digest(self._key, f"{program}\n{boot_id}\n{challenge}".encode(), "sha256").hex()

    def proves(self, proof: str | None, program: str, boot_id: str | None, challenge: str) -> bool:
        """Whether ``proof`` is the answer of that program and boot to ``challenge``."""
        expected = None if boot_id is None else self.proof(program, boot_id, challenge)
        if proof is None or expected is None:
            return False
        return hmac.compare_digest(proof.encode("utf-8", "surrogateescape"), expected.encode())
