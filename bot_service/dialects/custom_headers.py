"""Headers that clients of other APIs choose for their webhooks."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bot_service.domain.refused import invalid

HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}(?!\n)$")]
HeaderValue = Annotated[str, Meta(pattern=r"^[\t\x20-\x7e]{0,4000}(?!\n)$")]
_OWN = frozenset(
    (
        "host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding",
        "accept-encoding", "expect", "trailer", "upgrade",
    )
)  # fmt: skip


def refuse_own(name: str, field: str) -> None:
    """Raises :class:`Refused` ``invalid`` for a header that this service sets itself."""
    if name.lower() in _OWN or name.lower().startswith(("webhook-", "x-webhook-")):
        raise invalid(field, f"{name} is set by this service")
