"""Every reason for which a session is in its state, and for which people are asked to look at one.

The values are stored, shown by the API and sent to webhooks: they are stable. Each has wording in
the dashboard, in every language of it.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    # Commands
    CREATED = "created"
    USER_START = "user_start"
    USER_STOP = "user_stop"
    USER_RESTART = "user_restart"
    USER_LOGOUT = "user_logout"
    DELETED = "deleted"
    CLOSED = "closed"
    RESTORED = "restored"
    STOPPED_AT_BOOT = "stopped_at_boot"
    WATCHDOG_REPAIR = "watchdog_repair"
    EXPORTED = "exported"
    TAKEN_BACK = "taken_back"
    IMPORTED = "imported"

    # Expiry
    INACTIVE = "inactive"
    MAX_AGE = "max_age"
    RECYCLE_INACTIVE = "recycle_inactive"
    RECYCLE_MAX_AGE = "recycle_max_age"

    # Pairing
    QR_SHOWN = "qr_shown"
    QR_EXHAUSTED = "qr_exhausted"
    PAIRING_CODE_SHOWN = "pairing_code_shown"
    PAIRING_TIMED_OUT = "pairing_timed_out"
    PAIRED = "paired"
    PAIRED_TIMEOUT = "paired_timeout"
    PAIR_ERROR = "pair_error"
    PAIR_RESTART = "pair_restart"
    PASSKEY_REQUIRED = "passkey_required"
    MULTIDEVICE_OFF = "multidevice_off"

    # The engine's client and its worker
    STARTED = "started"
    START_TIMEOUT = "start_timeout"
    CLIENT_STARTED = "client_started"
    CLIENT_CONNECTING = "client_connecting"
    CLIENT_STOPPED = "client_stopped"
    PUMP_DIED = "pump_died"
    WORKER_LOST = "worker_lost"

    # The link
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CONNECT_ERROR = "connect_error"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_REFUSED = "connect_refused"
    SYNCED = "synced"
    SYNC_TIMED_OUT = "sync_timed_out"
    DISCONNECTED = "disconnected"
    TAKE_OVER_TIMEOUT = "take_over_timeout"
    SERVER_UNAVAILABLE = "server_unavailable"
    STREAM_ERROR = "stream_error"
    POISON_STANZA = "poison_stanza"
    KEEPALIVE_TIMEOUT = "keepalive_timeout"
    KEEPALIVE_TIMEOUT_RECONNECT = "keepalive_timeout_reconnect"
    KEEPALIVE_RESTORED = "keepalive_restored"
    FRAMES_STALE = "frames_stale"
    FRAMES_STALE_RECONNECT = "frames_stale_reconnect"
    FRAMES_AGAIN = "frames_again"

    # Receiving
    RECEIVE_SUSPECTED = "receive_suspected"
    RECEIVING_AGAIN = "receiving_again"
    RECONNECT = "reconnect"
    REBUILD = "rebuild"
    RECYCLE_WORKER = "recycle_worker"

    # What WhatsApp decided
    LOGGED_OUT = "logged_out"
    PRIMARY_GONE = "primary_gone"
    BANNED = "banned"
    TEMP_BANNED = "temp_banned"
    TEMP_BANNED_AGAIN = "temp_banned_again"
    BAN_OVER = "ban_over"
    TIMELOCKED = "timelocked"
    REPLACED = "replaced"
    REPLACED_TWICE = "replaced_twice"
    REPLACED_BY_OWNER = "replaced_by_owner"

    # The client version
    CLIENT_OUTDATED = "client_outdated"
    CLIENT_REFUSED = "client_refused"
    FLEET_OUTDATED = "fleet_outdated"
    FLEET_PROBE = "fleet_probe"
    FLEET_RECOVERED = "fleet_recovered"
