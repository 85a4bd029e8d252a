"""From what the server says on the wire to the names of signals. Pure: one table, one function."""

from __future__ import annotations

import re
from typing import Any

from bot_service.domain.signals import SignalKind
from bot_service.engines.neonize.log_lines import Stanza

Sign = tuple[SignalKind, dict[str, Any]]

# After these the library does not connect again by itself: the client is over.
ENDS = frozenset(
    {
        SignalKind.LOGGED_OUT,
        SignalKind.PRIMARY_GONE,
        SignalKind.BANNED,
        SignalKind.TEMP_BANNED,
        SignalKind.OUTDATED,
        SignalKind.CONNECT_REFUSED,
        SignalKind.REPLACED,
        SignalKind.QR_EXHAUSTED,
    }
)
# Refused logins that say whether the server accepts the client build: it looks at the account only when it does.
JUDGES_BUILD = frozenset(
    {
        SignalKind.OUTDATED,
        SignalKind.LOGGED_OUT,
        SignalKind.PRIMARY_GONE,
        SignalKind.BANNED,
        SignalKind.TEMP_BANNED,
    }
)
# After these somebody still waits for a message that can be read.
NO_PROOF = frozenset({"retry", "server-error"})
_CONFLICT = re.compile(r'<conflict type="([a-z_]+)"')
_CHILD = re.compile(r"<([a-z_-]+)")


def of_stanza(stanza: Stanza, *, pairing: bool) -> Sign | None:
    """The signal that a stanza of the server is, if it is one. `pairing`: no login has happened yet."""
    if stanza.tag == "failure":
        return _of_failure(stanza.attrs)
    if stanza.tag == "stream:error":
        return _of_stream_error(stanza, pairing)
    return None


def taken(stanza: Stanza) -> list[str] | None:
    """The ids of messages of ours that the server has taken, when the stanza proves that."""
    kind = stanza.attrs.get("type", "")
    if stanza.tag == "ack" and stanza.attrs.get("class") == "message" and "error" not in stanza.attrs:
        return [stanza.id]
    if stanza.tag == "receipt" and kind not in NO_PROOF:
        return stanza.ids
    return None


def _of_failure(attrs: dict[str, str]) -> Sign:
    code = _integer(attrs.get("reason"))
    if code == 401:
        return SignalKind.LOGGED_OUT, {"code": code, "onConnect": True}
    if code == 403:
        return SignalKind.PRIMARY_GONE, {"code": code}
    if code == 406:
        return SignalKind.BANNED, {"code": code}
    if code == 402:
        expires = _integer(attrs.get("expire")) * 1000
        return SignalKind.TEMP_BANNED, {"code": _integer(attrs.get("code")), "expiresInMs": expires}
    if code in (405, 409):
        return SignalKind.OUTDATED, {"code": code}
    if code in (500, 503):
        return SignalKind.SERVER_UNAVAILABLE, {"code": code}
    return SignalKind.CONNECT_REFUSED, {"code": code}


def _of_stream_error(stanza: Stanza, pairing: bool) -> Sign:
    code = _integer(stanza.attrs.get("code"))
    conflict = _CONFLICT.search(stanza.body)
    if code == 515:
        return (SignalKind.PAIR_RESTART, {}) if pairing else (SignalKind.SERVER_UNAVAILABLE, {"code": code})
    if code == 401 and conflict and conflict[1] == "device_removed":
        return SignalKind.LOGGED_OUT, {"code": code, "onConnect": False}
    if conflict and conflict[1] == "replaced":
        return SignalKind.REPLACED, {}
    if code in (500, 503):
        return SignalKind.SERVER_UNAVAILABLE, {"code": code}
    child = _CHILD.search(stanza.body)
    return SignalKind.STREAM_ERROR, {"signature": f"{stanza.attrs.get('code', '')}/{child[1] if child else ''}"}


def _integer(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
