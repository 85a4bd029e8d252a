"""States, reasons and problems in words; the dashboard translates them when it shows them."""

from __future__ import annotations

from bot_service.domain.client_version import Source
from bot_service.domain.states import Actor, State
from bot_service.webhooks.health import HealthState
from shared.translation import N_

KIND = {
    State.READY: "good",
    State.DEGRADED: "warn",
    State.RECONNECTING: "warn",
    State.STARTING: "calm",
    State.PAIRING: "calm",
    State.CONNECTING: "calm",
    State.SYNCING: "calm",
    State.STOPPED: "idle",
    State.CLOSED: "idle",
    State.LOGGED_OUT: "bad",
    State.BANNED: "bad",
    State.TEMP_BANNED: "bad",
    State.OUTDATED: "bad",
    State.FENCED: "bad",
    State.FAILED: "bad",
}

STATE = {
    State.READY: N_("Ready"),
    State.DEGRADED: N_("Degraded"),
    State.RECONNECTING: N_("Reconnecting"),
    State.STARTING: N_("Starting"),
    State.PAIRING: N_("Not linked: scan the QR code"),
    State.CONNECTING: N_("Connecting"),
    State.SYNCING: N_("Syncing"),
    State.STOPPED: N_("Stopped"),
    State.CLOSED: N_("Closed"),
    State.LOGGED_OUT: N_("Logged out"),
    State.BANNED: N_("Banned"),
    State.TEMP_BANNED: N_("Temporarily banned"),
    State.OUTDATED: N_("Outdated"),
    State.FENCED: N_("In use elsewhere"),
    State.FAILED: N_("Failed"),
}

REASON = {
    "created": N_("just created"),
    "started": N_("started"),
    "synced": "",
    "connected": N_("connected"),
    "connecting": "",
    "user_start": N_("started manually"),
    "user_stop": N_("stopped manually"),
    "user_restart": N_("restarted manually"),
    "exported": N_("exported: its pairing may run on another machine"),
    "taken_back": N_("taken back after an export"),
    "imported": N_("imported from another machine"),
    "restored": N_("this service started again"),
    "user_logout": N_("unlinked here"),
    "qr_shown": "",
    "pairing_code_shown": "",
    "qr_exhausted": N_("the code was not scanned"),
    "pairing_timed_out": N_("the code was not scanned"),
    "paired": N_("linked"),
    "pair_error": N_("linking failed"),
    "pair_restart": N_("linked, reconnecting"),
    "passkey_required": N_("WhatsApp wants a passkey for this account"),
    "multidevice_off": N_("the phone is too old for linked devices"),
    "disconnected": N_("connection lost"),
    "connect_error": N_("WhatsApp cannot be reached"),
    "connect_refused": N_("WhatsApp refused the connection"),
    "server_unavailable": N_("WhatsApp is not available"),
    "stream_error": N_("WhatsApp ended the stream"),
    "keepalive_timeout": N_("no answer to keep-alive"),
    "keepalive_restored": "",
    "frames_stale": N_("nothing received for a minute"),
    "start_timeout": N_("the engine did not start in time"),
    "connect_timeout": N_("no connection in time"),
    "worker_lost": N_("its worker process ended"),
    "pump_died": N_("the engine stopped handing over events"),
    "logged_out": N_("unlinked on the phone"),
    "primary_gone": N_("the account is gone from the phone"),
    "banned": N_("WhatsApp banned the account"),
    "temp_banned": N_("WhatsApp banned the account temporarily"),
    "temp_banned_again": N_("WhatsApp banned the account again"),
    "client_outdated": N_("WhatsApp refuses the client version"),
    "client_refused": N_("WhatsApp refuses this client version for this account"),
    "fleet_outdated": N_("waits until WhatsApp accepts a client version"),
    "fleet_probe": N_("tries whether WhatsApp accepts the client version"),
    "fleet_recovered": N_("WhatsApp accepts the client version again"),
    "replaced": N_("another program took over the connection"),
    "replaced_twice": N_("two programs use the same link"),
    "replaced_by_owner": N_("another service owns this session"),
    "poison_stanza": N_("the same error repeatedly"),
    "timelocked": N_("WhatsApp limits messages to new chats"),
    "silence_pattern": N_("unusually silent"),
    "sends_without_receipts": N_("sent messages get no receipt"),
    "probe_not_returned": N_("a test message did not come back"),
    "repeated_stream_errors": N_("the same error repeatedly"),
    "inactive": N_("not used for too long"),
    "max_age": N_("older than allowed"),
    "deleted": N_("deleted"),
    "closed": N_("closed"),
    "stopped_at_boot": N_("stopped when this service started"),
    "watchdog_repair": N_("the watchdog asked for a new connection"),
    "recycle_inactive": N_("not used for long, connecting again"),
    "recycle_max_age": N_("connected for long, connecting again"),
    "paired_timeout": N_("linked, but not connected in time"),
    "client_started": N_("the engine started again"),
    "client_connecting": N_("the engine connects again"),
    "client_stopped": N_("the engine stopped"),
    "sync_timed_out": N_("connected; WhatsApp did not report the end of waiting messages"),
    "take_over_timeout": N_("the engine could not connect again in time"),
    "keepalive_timeout_reconnect": N_("no answer to keep-alive, connecting again"),
    "frames_stale_reconnect": N_("nothing received for a minute, connecting again"),
    "frames_again": "",
    "receive_suspected": N_("perhaps it receives no messages"),
    "receiving_again": "",
    "reconnect": N_("perhaps it receives no messages: connecting again"),
    "rebuild": N_("perhaps it receives no messages: starting in another process"),
    "recycle_worker": N_("perhaps it receives no messages: replacing its process"),
    "ban_over": N_("the ban is over, connecting again"),
}

ADVICE = {
    Actor.USER: N_("Look at WhatsApp on the phone, or press Start and scan a new QR code."),
    Actor.OWNER: N_("Look at WhatsApp on the phone. Veilleur will not retry: that would make it worse."),
    Actor.OPERATOR: N_("The operator of this service has to act: look at the log and at the engine’s version."),
}

# Instead of the advice for the actor: Veilleur acts first.
ADVICE_OF_STATE = {
    State.OUTDATED: N_(
        "Veilleur looks by itself for a version that WhatsApp accepts, and alerts when somebody has to act."
    ),
}

VERSION_SOURCE = {
    Source.PUBLISHED: N_("follows the published version"),
    Source.BUILTIN: N_("the engine’s own"),
    Source.MANUAL: N_("set by hand"),
}

# What a command ended with, by the code in the address; an unknown code shows nothing.
DONE = {
    "start": N_("The session starts."),
    "stop": N_("The session is stopped. The phone stays linked."),
    "restart": N_("The session restarts."),
    "logout": N_("The phone is unlinked."),
    "delete": N_("The session is deleted."),
    "send": N_("The message is being sent."),
    "take-back": N_("The message is taken back: phones show that it was deleted."),
    "replay": N_("The deliveries are sent again."),
    "webhook-deleted": N_("The webhook is deleted. Its pending deliveries are dropped."),
    "webhook-changed": N_("The webhook is changed."),
    "webhook-paused": N_("The webhook is paused. It gets no new events; what waits for it stays."),
    "webhook-resumed": N_("The webhook is active again."),
    "key-revoked": N_("The key is revoked. Programs that use it are refused from now on."),
}

# How many sessions a command for several reached.
BULK_DONE = {
    "start": N_("Sessions started: {n}."),
    "stop": N_("Sessions stopped: {n}."),
    "restart": N_("Sessions restarted: {n}."),
}

_WRONG_STATE = N_("The session is in a state in which this cannot be done.")
# By the code of the refusal; "engine" and "other" are for codes that are not named here.
PROBLEM = {
    "store_damaged": N_("The database is damaged: restart the service with a backup of it."),
    "wrong_state": _WRONG_STATE,
    "not_pairing": _WRONG_STATE,
    "not_started": _WRONG_STATE,
    "not_connected": _WRONG_STATE,
    "sending_frozen": _WRONG_STATE,
    "temporarily_banned": _WRONG_STATE,
    "exported": N_("The session was exported: its pairing may run on another machine. Take it back first."),
    "timelocked": _WRONG_STATE,
    "not_found": N_("Not found (it may have been deleted)."),
    "forbidden": N_("This key may not do that."),
    "idempotency_key_reused": N_("The page was too old. Please try again."),
    "invalid": N_("Please correct the form."),
    "exists": N_("There is one with that id already."),
    "queue_full": N_("Too many messages for now. WhatsApp bans senders that are too fast."),
    "not_revocable": N_("This message cannot be taken back."),
    "too_late": N_("It is too late: phones ignore it."),
    "not_sent": N_("WhatsApp refused it."),
    "engine": N_("The engine could not do it. The log says why."),
    "other": N_("Something went wrong. The log says why."),
}

# Why a webhook's receiver gave no answer, by the code of the attempt.
NO_ANSWER = {
    "timeout": N_("no answer in time"),
    "connect": N_("nothing listens there"),
    "dns": N_("host name not found"),
    "tls": N_("its TLS certificate is not valid"),
    "private_address": N_("private addresses are not allowed here"),
    "dialect": N_("the event cannot be shown in this shape"),
}

# The colour class and the words for the health of a webhook.
WEBHOOK_HEALTH = {
    HealthState.NEW: ("calm", N_("not called yet")),
    HealthState.OK: ("good", N_("works")),
    HealthState.FAILING: ("warn", N_("the last attempt failed")),
    HealthState.DOWN: ("bad", N_("down, tried rarely")),
    HealthState.PAUSED: ("idle", N_("paused")),
}

# What a key may do, from the least to the most.
SCOPE = {
    "read": N_("read sessions, messages and webhooks"),
    "send": N_("send messages"),
    "session": N_("create, link, start, stop and delete sessions and webhooks"),
    "admin": N_("everything, for every owner, and keys"),
}

MESSAGE_STATE = (N_("queued"), N_("sent"), N_("delivered"), N_("read"), N_("failed"), N_("received"), N_("handled"))


def reason(code: str) -> str:
    """The words for a reason; one that is not known is shown as it is, without underscores."""
    return REASON.get(code, code.replace("_", " "))
