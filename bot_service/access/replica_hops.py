"""The mark of a request that one replica passes on to another one.

It says that a replica sent it, and nothing about who asked: the caller's own key or cookie goes with the
request and is checked again. The mark keeps a request from being passed on twice.
"""

from __future__ import annotations

import hmac

from shared.settings import Secret

HOP_HEADER = "X-Veilleur-Hop"


class HopMarks:
    """Makes and checks marks. Every replica knows ``secret``, the administrator's key; no mark reveals it."""

    def __init__(self, secret: Secret) -> None:
        # A key of its own: a mark is no use as anything else that the secret may sign.
        self._key = hmac.digest(secret.reveal().encode(), b"veilleur replica hop 1", "sha256")

    def make(self, method: str, path: str) -> str:
        """64 hexadecimal digits, for this request only."""
        return hmac.digest(self._key, f"{method}\n{path}".encode("utf-8", "surrogateescape"), "sha256").hex()

    def good(self, mark: str | None, method: str, path: str) -> bool:
        """Whether a replica passed this request on; takes the same time for every wrong mark."""
        if mark is None:
            return False
        return hmac.compare_digest(mark.encode("utf-8", "surrogateescape"), self.make(method, path).encode())
