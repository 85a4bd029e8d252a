"""The actions of ``POST /api/sessions/{id}/simulate``, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot_service.engines.port import EngineError
from bot_service.engines.simulator import account, faults, people, process
from bot_service.engines.simulator.arguments import Arguments
from bot_service.engines.simulator.session import SimulatedSession
from bot_service.engines.simulator.world import World

Result = dict[str, Any]


SESSION_ACTIONS: dict[str, Callable[[SimulatedSession, Arguments], Result]] = {
    # people and phones
    "scan": people.scan,
    "enterCode": people.enter_code,
    "message": people.message,
    "receipt": people.receipt,
    "receipts": people.receipts,
    "presence": people.presence,
    "call": people.call,
    "joinRequest": people.join_request,
    "groupChange": people.group_change,
    "openChannel": people.open_channel,
    "inbox": people.inbox,
    # the link
    "drop": faults.drop,
    "offline": faults.offline,
    "silence": faults.silence,
    "keepaliveTimeout": faults.keepalive_timeout,
    "serverUnavailable": faults.server_unavailable,
    "streamError": faults.stream_error,
    "poison": faults.poison,
    "pumpDied": faults.pump_died,
    "slow": faults.slow,
    "undecryptable": faults.undecryptable,
    "heal": faults.heal,
    # the account
    "logout": account.logout,
    "replaced": account.replaced,
    "ban": account.ban,
    "tempBan": account.temp_ban,
    "outdated": account.outdated,
    "primaryGone": account.primary_gone,
    "connectRefused": account.connect_refused,
    "timelock": account.timelock,
    "rejectSends": account.reject_sends,
}
WORKER_ACTIONS: dict[str, Callable[[World, Arguments], Result]] = {
    "crashWorker": process.crash,
    "wedgeWorker": process.wedge,
    "leak": process.leak,
    "diskFull": process.disk_full,
}


def run(world: World, session: SimulatedSession | None, name: str, given: dict[str, Any]) -> Result:
    """Runs one action. Raises :class:`EngineError` ``unknown_action``, ``invalid`` or its own."""
    arguments = Arguments(name, given)
    if name in WORKER_ACTIONS:
        return WORKER_ACTIONS[name](world, arguments)
    if name not in SESSION_ACTIONS:
        known = ", ".join(sorted([*SESSION_ACTIONS, *WORKER_ACTIONS]))
        raise EngineError("unknown_action", f"no action {name}; there are {known}", field="action")
    if session is None:
        raise EngineError("not_started", "the session is not started", retryable=True)
    return SESSION_ACTIONS[name](session, arguments)
