"""All replicas with the number of their sessions, as any of them sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bot_service.domain.refused import not_found
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted
from bot_service.replicas.build import Replicas
from bot_service.sessions.registry import SessionRegistry
from shared.boot import Boot
from shared.clock import to_ms


@dataclass(frozen=True, slots=True)
class ReplicaRow:
    """``id`` None: sessions that no replica owns at the moment. ``url`` None: the only service, without replicas.

    ``ready`` of ``wanted`` sessions that should run are READY. ``lease_left_ms``: until its lease is over.
    """

    id: str | None
    url: str | None
    version: str
    started_ms: int
    lease_left_ms: int | None
    draining: bool
    here: bool
    sessions: int
    wanted: int
    ready: int


def overview(replicas: Replicas | None, registry: SessionRegistry, boot: Boot) -> list[ReplicaRow]:
    """The oldest first; last the sessions without an owner, if there are any."""
    if replicas is None:
        shares = (len(registry), registry.wanted, registry.wanted_ready)
        return [ReplicaRow(boot.boot_id, None, boot.version, to_ms(boot.started_at), None, False, True, *shares)]
    sessions: Counter[str | None] = Counter()
    wanted: Counter[str | None] = Counter()
    ready: Counter[str | None] = Counter()
    for record in registry:
        owner = replicas.members.owner_of(record.id)
        holder = None if owner is None else owner.id
        sessions[holder] += 1
        if record.wanted is Wanted.RUN:
            wanted[holder] += 1
            ready[holder] += record.state is State.READY
    rows = [
        ReplicaRow(
            id=each.id,
            url=each.url,
            version=each.version,
            started_ms=each.started_ms,
            lease_left_ms=max(0, each.left_ms),
            draining=each.draining,
            here=each.id == replicas.lease.id,
            sessions=sessions[each.id],
            wanted=wanted[each.id],
            ready=ready[each.id],
        )
        for each in replicas.members.replicas.values()
    ]
    if sessions[None]:
        rows.append(ReplicaRow(None, None, "", 0, None, False, False, sessions[None], wanted[None], ready[None]))
    return rows


def sessions_of(
    replicas: Replicas | None, registry: SessionRegistry, boot: Boot, replica: str
) -> Iterator[SessionRecord]:
    """The sessions that ``replica`` owns, in the order of their creation. Refused: ``not_found``."""
    if replicas is None:
        if replica != boot.boot_id:
            raise not_found("this replica")
        return iter(registry)
    if replica not in replicas.members.replicas:
        raise not_found("this replica")
    return (record for record in registry if replicas.members.holder_of(record.id) == replica)
