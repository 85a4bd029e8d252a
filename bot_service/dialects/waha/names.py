"""WAHA's names for what this service has: chat ids, message ids, states, acknowledgements."""

from __future__ import annotations

from bot_service.domain.states import State

# (number, name), as in WAHA's `ack` and `ackName`.
ACKS = {
    "failed": (-1, "ERROR"),
    "queued": (0, "PENDING"),
    "sent": (1, "SERVER"),
    "delivered": (2, "DEVICE"),
    "read": (3, "READ"),
    "received": (2, "DEVICE"),
}
_STATUS = {
    State.STOPPED: "STOPPED",
    State.CLOSED: "STOPPED",
    State.STARTING: "STARTING",
    State.CONNECTING: "STARTING",
    State.RECONNECTING: "STARTING",
    State.PAIRING: "SCAN_QR_CODE",
    State.SYNCING: "WORKING",
    State.READY: "WORKING",
    State.DEGRADED: "WORKING",
}


def status(state: State) -> str:
    """WAHA's status of a session. What needs a person is FAILED."""
    return _STATUS.get(state, "FAILED")


def chat_out(jid: str) -> str:
    """``33612345678@s.whatsapp.net`` is ``33612345678@c.us`` there."""
    return f"{jid.removesuffix('@s.whatsapp.net')}@c.us" if jid.endswith("@s.whatsapp.net") else jid


def message_id(own: bool, chat: str, plain_id: str, participant: str | None = None) -> str:
    """``true_33612345678@c.us_AAA``, with the author behind it in groups."""
    known = f"{str(own).lower()}_{chat_out(chat)}_{plain_id}"
    return f"{known}_{chat_out(participant)}" if participant and chat.endswith("@g.us") else known


def plain_id(text: str) -> str:
    """This service's id in one of WAHA's; any other text is taken for an id of Veilleur."""
    own, _, rest = text.partition("_")
    if own not in ("true", "false") or "@" not in rest:
        return text
    chat, _, rest = rest.partition("_")
    found, _, participant = rest.rpartition("_")
    return found if chat.endswith("@g.us") and "@" in participant else rest
