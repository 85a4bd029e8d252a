"""Every signal that an engine can report about one session; each is a row of the reaction table.

An engine translates its own events into these names; it never decides what follows from them.
"""

from __future__ import annotations

from enum import StrEnum


class SignalKind(StrEnum):
    """The comment behind each is its ``data``; times are in milliseconds."""

    # Pairing
    QR = "qr"  # {"code": str, "expiresInMs": int, "round": int}
    QR_EXHAUSTED = "qr_exhausted"  # all codes of this round ran out
    PAIRING_CODE = "pairing_code"  # {"code": str, "expiresInMs": int}
    PAIRED = "paired"  # {"jid": str, "lid": str | None, "pushName": str | None}
    PAIR_ERROR = "pair_error"  # {"reason": str}
    PAIR_RESTART = "pair_restart"  # stream 515 after pairing: the engine reconnects
    PASSKEY_REQUIRED = "passkey_required"
    MULTIDEVICE_OFF = "multidevice_off"  # scanned by an old phone; the code stays valid

    # Link
    CONNECTING = "connecting"  # {"reason": str | None}
    CONNECTED = "connected"  # {"earlier": true} when repeated for a new listener
    OFFLINE_SYNC_PREVIEW = "offline_sync_preview"  # {"messages": int, ...}
    OFFLINE_SYNC_COMPLETED = "offline_sync_completed"  # {"count": int}
    DISCONNECTED = "disconnected"  # {"reason": str | None}
    CONNECT_ERROR = "connect_error"  # no route, DNS, proxy, TLS, handshake: {"reason": str}
    KEEPALIVE_TIMEOUT = "keepalive_timeout"  # {"errors": int, "lastSuccessMs": int | None}
    KEEPALIVE_RESTORED = "keepalive_restored"
    SERVER_UNAVAILABLE = "server_unavailable"  # 503, connect failure 500: {"code": int}
    STREAM_ERROR = "stream_error"  # without a known code: {"signature": str}

    # Ends
    LOGGED_OUT = "logged_out"  # 401 or device_removed: {"code": int, "onConnect": bool}
    PRIMARY_GONE = "primary_gone"  # 403
    BANNED = "banned"  # 406
    TEMP_BANNED = "temp_banned"  # 402: {"code": int, "expiresInMs": int}
    OUTDATED = "outdated"  # 405, and bad user agent 409: {"code": int}
    CONNECT_REFUSED = "connect_refused"  # 400, 415, 418, 501, unknown: {"code": int}
    REPLACED = "replaced"
    TIMELOCK = "timelock"  # reach-out time lock, or 463 on a send: {"untilMs": int | None}
    UNDECRYPTABLE = "undecryptable"  # {"chat": str, "messageId": str}
    # Perhaps not journaled before a kill, or unreadable at every try: {"messageId": str, "reason":
    # str}
    MESSAGE_LOST = "message_lost"

    # From the worker or the service itself
    STARTED = "started"  # the engine took the start command
    STOPPED = "stopped"  # a stop or disconnect asked for by the service is done
    UNLINKED = "unlinked"  # a logout asked for by the service is done
    PUMP_DIED = "pump_died"  # the engine's event pump for this session ended: {"reason": str}
    WORKER_LOST = "worker_lost"  # the worker process died or was killed: {"exitCode": int | None}
    START_TIMEOUT = "start_timeout"  # the start command was not answered in time
    # {"messageIds": [str], "chat": str, "type": "delivered" | "read" | "played" | "server" |
    # "failed"}
    RECEIPT = "receipt"
    # {"chat": str, "from": str, "state": "available" | "unavailable" | "composing" | "recording" |
    # "paused", "lastSeenMs": int | None}
    PRESENCE = "presence"
