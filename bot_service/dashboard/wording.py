"""States, reasons and problems in words for people; the keys of the French catalogue."""

from __future__ import annotations

from bot_service.domain.client_version import Source
from bot_service.domain.states import Actor, State

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
    State.READY: "Ready",
    State.DEGRADED: "Degraded",
    State.RECONNECTING: "Reconnecting",
    State.STARTING: "Starting",
    State.PAIRING: "Waiting for a phone",
    State.CONNECTING: "Connecting",
    State.SYNCING: "Syncing",
    State.STOPPED: "Stopped",
    State.CLOSED: "Closed",
    State.LOGGED_OUT: "Logged out",
    State.BANNED: "Banned",
    State.TEMP_BANNED: "Banned for a time",
    State.OUTDATED: "Outdated",
    State.FENCED: "Used elsewhere",
    State.FAILED: "Failed",
}

REASON = {
    "created": "just created",
    "started": "started",
    "synced": "",
    "connected": "connected",
    "connecting": "",
    "user_start": "started by a person",
    "user_stop": "stopped by a person",
    "user_restart": "restarted by a person",
    "restored": "this service started again",
    "user_logout": "logged out here",
    "qr_shown": "",
    "pairing_code_shown": "",
    "qr_exhausted": "nobody scanned the code",
    "pairing_timed_out": "nobody scanned the code",
    "paired": "linked",
    "pair_error": "linking failed",
    "pair_restart": "linked, connecting anew",
    "passkey_required": "WhatsApp wants a passkey for this account",
    "multidevice_off": "the phone is too old for linked devices",
    "disconnected": "connection lost",
    "connect_error": "WhatsApp cannot be reached",
    "connect_refused": "WhatsApp refused the connection",
    "server_unavailable": "WhatsApp is not available",
    "stream_error": "WhatsApp ended the stream",
    "keepalive_timeout": "no answer to keep-alive",
    "keepalive_restored": "",
    "frames_stale": "nothing received for a minute",
    "start_timeout": "the engine did not start in time",
    "connect_timeout": "no connection in time",
    "worker_lost": "its worker process ended",
    "pump_died": "the engine stopped handing over events",
    "logged_out": "unlinked on the phone",
    "primary_gone": "the account is gone from the phone",
    "banned": "WhatsApp banned the account",
    "temp_banned": "WhatsApp banned the account for a time",
    "temp_banned_again": "WhatsApp banned the account again",
    "client_outdated": "WhatsApp refuses the client version",
    "client_refused": "WhatsApp refuses this client version for this account",
    "fleet_outdated": "waits until WhatsApp accepts a client version",
    "fleet_probe": "tries whether WhatsApp accepts the client version",
    "fleet_recovered": "WhatsApp accepts the client version again",
    "replaced": "another program took over the connection",
    "replaced_twice": "two programs use the same link",
    "replaced_by_owner": "another service owns this session",
    "poison_stanza": "the same error again and again",
    "timelocked": "WhatsApp limits messages to new chats",
    "silence_pattern": "unusually silent",
    "sends_without_receipts": "sent messages get no receipt",
    "probe_not_returned": "a test message did not come back",
    "repeated_stream_errors": "the same error again and again",
    "inactive": "not used for too long",
    "max_age": "older than allowed",
    "deleted": "deleted",
    "closed": "closed",
    "stopped_at_boot": "stopped when this service started",
    "watchdog_repair": "the watchdog asked for a new connection",
    "recycle_inactive": "not used for long, connecting again",
    "recycle_max_age": "connected for long, connecting again",
    "paired_timeout": "linked, but not connected in time",
    "client_started": "the engine started again",
    "client_connecting": "the engine connects again",
    "client_stopped": "the engine stopped",
    "sync_timed_out": "connected; WhatsApp did not report the end of waiting messages",
    "take_over_timeout": "the engine could not connect again in time",
    "keepalive_timeout_reconnect": "no answer to keep-alive, connecting again",
    "frames_stale_reconnect": "nothing received for a minute, connecting again",
    "frames_again": "",
    "receive_suspected": "perhaps it receives no messages",
    "receiving_again": "",
    "reconnect": "perhaps it receives no messages: connecting again",
    "rebuild": "perhaps it receives no messages: starting in another process",
    "recycle_worker": "perhaps it receives no messages: replacing its process",
    "ban_over": "the ban is over, connecting again",
}

ADVICE = {
    Actor.USER: "Whoever holds the phone has to act: look at WhatsApp on it, or link it again.",
    Actor.OWNER: "Whoever answers for the WhatsApp account has to act; trying again by itself would do harm.",
    Actor.OPERATOR: "Whoever runs this service has to act: look at the log, and at the engine’s version.",
}

# Instead of the advice for the actor: Veilleur acts first.
ADVICE_OF_STATE = {
    State.OUTDATED: "Veilleur looks by itself for a version that WhatsApp accepts, and alerts when somebody has to act.",
}

VERSION_SOURCE = {
    Source.PUBLISHED: "follows the published version",
    Source.BUILTIN: "the engine’s own",
    Source.MANUAL: "set by hand",
}

# What a command ended with, by the code in the address; an unknown code shows nothing.
DONE = {
    "start": "The session starts.",
    "stop": "The session is stopped. The phone stays linked.",
    "restart": "The session restarts.",
    "logout": "The phone is unlinked.",
    "delete": "The session is deleted.",
    "send": "The message is on its way.",
    "pairing-code": "Type the code on the phone.",
    "replay": "The letters are sent again.",
    "webhook-deleted": "The webhook is deleted. What was on its way to it is dropped.",
    "key-revoked": "The key is revoked. Whoever uses it is refused from now on.",
}

PROBLEM = {
    "wrong_state": "The session is in a state in which this cannot be done.",
    "not_found": "It is not there any more.",
    "forbidden": "This key may not do that.",
    "expired": "The page was too old. Please try again.",
    "invalid": "Something in the form cannot be used. Please look at it again.",
    "conflict": "There is one with that id already.",
    "limited": "Too many messages for now. WhatsApp bans senders that are too fast.",
    "engine": "The engine could not do it. The log says why.",
    "other": "It did not work. The log says why.",
}

# Why a webhook's receiver gave no answer, by the code of the attempt.
NO_ANSWER = {
    "timeout": "no answer in time",
    "connect": "nothing listens there",
    "dns": "the name is not known",
    "tls": "its certificate is not good",
    "private_address": "private addresses are not allowed here",
}

# What a key may do, from the least to the most.
SCOPE = {
    "read": "look at sessions, messages, webhooks",
    "send": "send messages",
    "session": "make, pair, start, stop, delete sessions and webhooks",
    "admin": "everything, for every owner, and keys",
}

MESSAGE_STATE = ("queued", "sent", "delivered", "read", "failed", "received", "handled")


def reason(code: str) -> str:
    """The words for a reason; one that is not known is shown as it is, without underscores."""
    return REASON.get(code, code.replace("_", " "))
