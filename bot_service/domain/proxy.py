"""The proxy of a session: a secret, because its address may hold a password."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec


class Proxy(msgspec.Struct, frozen=True, gc=False):
    """``url`` is for the engine only; logs, pages and answers use :attr:`shown`."""

    url: str

    @property
    def shown(self) -> str:
        """The address without user and password."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

    def __repr__(self) -> str:
        return f"Proxy({self.shown!r})"
