"""Two or three watchdogs of one bot, event by event: the real pace, fold, votes and notices, a played network.

Each watchdog has a network of its own to the bot, and they read each other's verdicts. Faults: lost packets, outages of
the bot, outages of one watchdog's network, watchdogs that end, and partitions between any two of bot and watchdogs.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from tests.support.fold import EPOCH_MS
from tests.support.simulation import Network, whole
from watchdog.domain.decision import notices_of
from watchdog.domain.facts import Fact, Tick
from watchdog.domain.health import fold
from watchdog.domain.incidents import common_name
from watchdog.domain.joint import PeerHeard, TargetVerdict, undecided, verdict_of
from watchdog.domain.outcome import Cause, ProbeResult
from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import Incident, IncidentKind, Notice, NoticeKind, State
from watchdog.domain.target import TargetState
from watchdog.flow.pace import Pace

Window = tuple[float, float]
NEVER: Window = (0, 0)
READ_MS, READ_IN_DOUBT_MS, READ_LIMIT_MS = 2000, 500, 3000


@dataclass
class OwnNetwork(Network):
    """The road of one watchdog to the bot; ``cut``: only this road is closed, canaries answer."""

    cut: Window = NEVER

    def _attempt(self, at: float, limit: float) -> tuple[float, str]:
        if self.cut[0] <= at < self.cut[1] and not self.is_blind(at):
            return limit, "timeout"
        ended, reason = super()._attempt(at, limit)
        return (limit, "timeout") if reason == "ok" and self.cut[0] <= ended < self.cut[1] else (ended, reason)

    def link_breaks(self) -> list[float]:
        phase = 2000 * self.chance.random()
        return [*super().link_breaks(), *([self.cut[0] + 5000 - phase] if self.cut[1] > self.cut[0] else [])]


@dataclass
class Watchdog:
    """One watchdog. ``dead``: its process does not run; it is not started again. ``sent``: (ms, notice)."""

    name: str
    policy: Policy
    network: OwnNetwork
    dead_from: float = float("inf")
    cut_from: dict[str, Window] = field(default_factory=dict)  # by the name of the other watchdog
    sent: list[tuple[float, Notice]] = field(default_factory=list)
    state: TargetState = field(default_factory=lambda: TargetState("bot"))

    def __post_init__(self) -> None:
        self.pace = Pace(EPOCH_MS + 5000 * self.network.chance.random())
        self.waiting: list[tuple[float, int, ProbeResult]] = []
        self.breaks = sorted(self.network.link_breaks())
        self.next_read = 2000 * self.network.chance.random()
        self.next_tick = 0.0
        self.coming: list[tuple[float, int, PeerHeard]] = []  # readings under way
        self._known: dict[str, Incident] = {}
        self._readings = 0

    def take(self, fact: Fact, at: float) -> None:
        before = self.state
        now = Now(int(EPOCH_MS + at), int(EPOCH_MS + at))
        step = fold(before, fact, self.policy, now)
        self.state = step.state
        self._known.update({incident.id: incident for incident in step.opened})
        ended = [whole(self._known[incident.id], incident) for incident in step.closed]
        self.sent += [(at, notice) for notice in notices_of(before, step, list(step.opened), ended)]
        if step.flip is not None:
            self.next_read = min(self.next_read, at)

    def next_at(self, at: float) -> float:
        due, _ = self.pace.due(self.state, self.policy, Now(int(EPOCH_MS + at), int(EPOCH_MS + at)))
        queues = [queue[0][0] for queue in (self.waiting, self.coming) if queue]
        reading = self.next_read if self.policy.peers else float("inf")
        return max(at, min(due - EPOCH_MS, self.next_tick, reading, *queues, *self.breaks[:1]))

    def turn(self, at: float, others: list[Watchdog]) -> None:
        now = Now(int(EPOCH_MS + at), int(EPOCH_MS + at))
        due, cause = self.pace.due(self.state, self.policy, now)
        if self.breaks and self.breaks[0] <= at:
            self.breaks.pop(0)
            self.pace.suspect(EPOCH_MS + at)
        elif self.waiting and self.waiting[0][0] <= at:
            _, number, result = heapq.heappop(self.waiting)
            self.take(result, at)
            self.pace.ended(number, result, self.state)
        elif self.coming and self.coming[0][0] <= at:
            self.take(heapq.heappop(self.coming)[2], at)
        elif due - EPOCH_MS <= at:
            number = self.pace.started(cause, self.policy, EPOCH_MS + at)
            heapq.heappush(self.waiting, self._ping(number, cause, at))
        elif self.policy.peers and self.next_read <= at:
            self._read(at, others)
        else:
            # The program looks once a second while time alone may change anything.
            self.next_tick = at + (1000 if self.state.state is not State.UP else 20_000)
            self.take(Tick(), at)

    def _read(self, at: float, others: list[Watchdog]) -> None:
        doubt = undecided(self.state, self.policy, Now(int(EPOCH_MS + at), int(EPOCH_MS + at)))
        self.next_read = at + (READ_IN_DOUBT_MS if doubt else READ_MS)
        for other in others:
            latency = self.network.chance.lognormvariate(4.0, 0.6)
            if (
                not other.answers(at, self.name)
                or self.network.is_blind(at)
                or self.network.chance.random() < self.network.loss
            ):
                continue
            said = other.verdict(at)
            self._readings += 1
            heard = PeerHeard(other.name, said, int(EPOCH_MS + at))
            heapq.heappush(self.coming, (at + min(latency, READ_LIMIT_MS), self._readings, heard))

    def answers(self, at: float, to: str) -> bool:
        cut = self.cut_from.get(to, NEVER)
        return at < self.dead_from and not self.network.is_blind(at) and not cut[0] <= at < cut[1]

    def verdict(self, at: float) -> TargetVerdict:
        return verdict_of(self.state, self.policy, Now(int(EPOCH_MS + at), int(EPOCH_MS + at)))

    def _ping(self, number: int, cause: Cause, at: float) -> tuple[float, int, ProbeResult]:
        ended, result = self.network.result(cause, at)
        return ended, number, result

    def times(self, kind: NoticeKind) -> list[float]:
        return [at for at, notice in self.sent if notice.kind is kind]


def live(watchdogs: list[Watchdog], until: float) -> None:
    """Play all of them in the order of time."""
    at = 0.0
    while at < until:
        coming = [(one.next_at(at), number) for number, one in enumerate(watchdogs)]
        alive = [(due, number) for due, number in coming if due < watchdogs[number].dead_from]
        if not alive:
            return
        at, number = min(alive)
        watchdogs[number].turn(at, [other for other in watchdogs if other is not watchdogs[number]])


def heard_by_people(watchdogs: list[Watchdog]) -> list[str]:
    """The names of the incidents DOWN that Alertmanager got: one message each."""
    names = {
        common_name("bot", IncidentKind.DOWN, notice.fields["openedAtMs"])
        for one in watchdogs
        for _, notice in one.sent
        if notice.kind is NoticeKind.DOWN
    }
    return sorted(names)
