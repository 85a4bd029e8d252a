"""The actions of ``POST /api/sessions/{id}/simulate``, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot_service.engines.port import EngineError
from bot_service.engines.simulator import account, faults, people, process
from bot_service.engines.simulator.arguments import Arguments
from bot_service.engines.simulator.session import SimulatedSession
from bot_service.engines.simulator.world import World

Result = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Action:
    """``run`` for actions of one session, ``run_process`` for the whole worker."""

    run: Callable[[SimulatedSession, Arguments], Result] | None = None
    run_process: Callable[[World, Arguments], Result] | None = None


ACTIONS: dict[str, Action] = {
    # people and phones
    "scan": Action(people.scan),
    "enterCode": Action(people.enter_code),
    "message": Action(people.message),
    "receipt": Action(people.receipt),
    "receipts": Action(people.receipts),
    "presence": Action(people.presence),
    "inbox": Action(people.inbox),
    # the link
    "drop": Action(faults.drop),
    "offline": Action(faults.offline),
    "silence": Action(faults.silence),
    "keepaliveTimeout": Action(faults.keepalive_timeout),
    "serverUnavailable": Action(faults.server_unavailable),
    "streamError": Action(faults.stream_error),
    "poison": Action(faults.poison),
    "pumpDied": Action(faults.pump_died),
    "slow": Action(faults.slow),
    "undecryptable": Action(faults.undecryptable),
    "heal": Action(faults.heal),
    # the account
    "logout": Action(account.logout),
    "replaced": Action(account.replaced),
    "ban": Action(account.ban),
    "tempBan": Action(account.temp_ban),
    "outdated": Action(account.outdated),
    "primaryGone": Action(account.primary_gone),
    "connectRefused": Action(account.connect_refused),
    "timelock": Action(account.timelock),
    "rejectSends": Action(account.reject_sends),
    # the worker process
    "crashWorker": Action(run_process=process.crash),
    "wedgeWorker": Action(run_process=process.wedge),
    "leak": Action(run_process=process.leak),
    "diskFull": Action(run_process=process.disk_full),
}


async def run(world: World, session: SimulatedSession | None, name: str, given: dict[str, Any]) -> Result:
    """Runs one action. Raises :class:`EngineError` ``unknown_action``, ``invalid`` or its own."""
    action = ACTIONS.get(name)
    if action is None:
        raise EngineError("unknown_action", f"no action {name}; there are {', '.join(sorted(ACTIONS))}", field="action")
    arguments = Arguments(name, given)
    if action.run_process is not None:
        return action.run_process(world, arguments)
    if session is None or action.run is None:
        raise EngineError("not_started", "the session is not started", retryable=True)
    return action.run(session, arguments)
