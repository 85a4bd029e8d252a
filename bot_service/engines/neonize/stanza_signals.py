"""Translates stanzas of the server into signals. Pure."""

from __future__ import annotations

import re

from bot_service.domain.session_record import Signal
from bot_service.domain.signals import SignalKind
from bot_service.engines.neonize.log_lines import Stanza

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
# Refused logins that show whether the server accepts the build: it checks the account after it.
DECIDES_BUILD = frozenset(
    {
        SignalKind.OUTDATED,
        SignalKind.LOGGED_OUT,
        SignalKind.PRIMARY_GONE,
        SignalKind.BANNED,
        SignalKind.TEMP_BANNED,
    }
)
# With these the receiver does not have a message that it can read.
NO_PROOF = frozenset({"retry", "server-error"})
_CONFLICT = re.compile(r'<conflict type="([a-z_]+)"')
_CHILD = re.compile(r"<([a-z_-]+)")


def of_stanza(stanza: Stanza, *, pairing: bool) -> Signal | None:
    """The signal of a stanza, if any. `pairing`: no login has happened yet."""
    if stanza.tag == "failure":
        return _of_failure(stanza.attrs)
    if stanza.tag == "stream:error":
        return _of_stream_error(stanza, pairing)
    return None


def taken(stanza: Stanza) -> list[str] | None:
    """The ids of sent messages that the server has taken, when the stanza proves that."""
    kind = stanza.attrs.get("type", "")
    if stanza.tag == "ack" and stanza.attrs.get("class") == "message" and "error" not in stanza.attrs:
        return [stanza.id]
    if stanza.tag == "receipt" and kind not in NO_PROOF:
        return stanza.ids
    return None


def _of_failure(attrs: dict[str, str]) -> Signal:
    code = _integer(attrs.get("reason"))
    if code == 401:
        return Signal(SignalKind.LOGGED_OUT, {"code": code, "onConnect": True})
    if code == 403:
        return Signal(SignalKind.PRIMARY_GONE, {"code": code})
    if code == 406:
        return Signal(SignalKind.BANNED, {"code": code})
    if code == 402:
        expires = _integer(attrs.get("expire")) * 1000
        return Signal(SignalKind.TEMP_BANNED, {"code": _integer(attrs.get("code")), "expiresInMs": expires})
    if code in (405, 409):
        return Signal(SignalKind.OUTDATED, {"code": code})
    if code in (500, 503):
        return Signal(SignalKind.SERVER_UNAVAILABLE, {"code": code})
    return Signal(SignalKind.CONNECT_REFUSED, {"code": code})


def _of_stream_error(stanza: Stanza, pairing: bool) -> Signal:
    code = _integer(stanza.attrs.get("code"))
    conflict = _CONFLICT.search(stanza.body)
    if code == 515:
        return Signal(SignalKind.PAIR_RESTART) if pairing else Signal(SignalKind.SERVER_UNAVAILABLE, {"code": code})
    if code == 401 and conflict and conflict[1] == "device_removed":
        return Signal(SignalKind.LOGGED_OUT, {"code": code, "onConnect": False})
    if conflict and conflict[1] == "replaced":
        return Signal(SignalKind.REPLACED, {})
    if code in (500, 503):
        return Signal(SignalKind.SERVER_UNAVAILABLE, {"code": code})
    child = _CHILD.search(stanza.body)
    return Signal(SignalKind.STREAM_ERROR, {"signature": f"{stanza.attrs.get('code', '')}/{child[1] if child else ''}"})


def _integer(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
