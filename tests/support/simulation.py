"""One target's life, event by event, without an event loop: the real pace, fold and notices, a played network.

A run is two hours at most and takes milliseconds, so that ten thousand of them fit into a test.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

from tests.support.fold import EPOCH_MS
from watchdog.domain.decision import notices_of
from watchdog.domain.facts import Tick
from watchdog.domain.health import fold
from watchdog.domain.outcome import Cause, Outcome, ProbeResult
from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import Incident, Notice
from watchdog.domain.target import TargetState
from watchdog.flow.pace import Pace

TIMEOUT_MS = 10_000
ATTEMPTS = 3
SILENCE_MS = 5_000


@dataclass
class Network:
    """What a ping meets. ``loss`` of attempts are lost: half break at once, half are never answered.

    ``slow`` of the answers take up to nine seconds. ``blind`` is when the watchdog's own network is out; ``outage`` is
    when the bot is (``kind`` crash, hang or error).
    """

    chance: random.Random
    loss: float = 0.01
    slow: float = 0.01
    blind: tuple[float, float] = (0, 0)
    outage: tuple[float, float] = (0, 0)
    kind: str = "crash"

    def is_blind(self, at: float) -> bool:
        return self.blind[0] <= at < self.blind[1]

    def is_out(self, at: float) -> bool:
        return self.outage[0] <= at < self.outage[1]

    def result(self, cause: Cause, began: float) -> tuple[float, ProbeResult]:
        """(ended, result) of a ping begun then."""
        ended, outcome, reason = self.ping(began)
        return ended, ProbeResult(
            target="bot",
            cause=cause,
            started_at_ms=int(EPOCH_MS + began),
            at_ms=int(EPOCH_MS + ended),
            outcome=outcome,
            reason=reason,
            latency_ms=ended - began if outcome is Outcome.OK else None,
            duration_ms=int(ended - began),
        )

    def ping(self, began: float) -> tuple[float, Outcome, str]:
        """(ended, outcome, reason) of a ping begun then, with up to three attempts, judged as the self check does."""
        at, limit = began, began + TIMEOUT_MS
        reason = "timeout"
        for attempt in range(ATTEMPTS):
            at, reason = self._attempt(at, limit)
            if reason == "ok":
                return at, Outcome.OK, "ok"
            at += self.chance.random() * 250 * 2**attempt
            if at >= began + 0.9 * TIMEOUT_MS:
                break
        # Silence is looked into: no canary answers while our own network is out.
        if reason == "timeout" and self.is_blind(at):
            return at + 3000, Outcome.SELF_FAIL, "no_canary"
        return at, Outcome.TARGET_FAIL, reason

    def _attempt(self, at: float, limit: float) -> tuple[float, str]:
        if self.is_blind(at):
            return limit, "timeout"
        if self.is_out(at):
            if self.kind == "hang":
                # The kernel keeps the connection: the answer comes when the program wakes.
                return (self.outage[1] + 10, "ok") if self.outage[1] + 10 < limit else (limit, "timeout")
            return at + 5, "connect_refused" if self.kind == "crash" else "http_500"
        dice = self.chance.random()
        if dice < self.loss / 2:
            return at + 200 * self.chance.random(), "connect_reset"
        if dice < self.loss:
            return limit, "timeout"
        latency = 9000 * self.chance.random() if dice < self.loss + self.slow else self.chance.lognormvariate(4.0, 0.6)
        answered = at + latency
        if self.is_blind(answered) or (self.is_out(answered) and self.kind != "error"):
            return limit, "timeout"
        return (answered, "ok") if answered < limit else (limit, "timeout")

    def link_breaks(self) -> list[float]:
        """When the heartbeat link reports trouble."""
        phase = 2000 * self.chance.random()
        found = []
        if self.blind[1] > self.blind[0]:
            found.append(self.blind[0] + SILENCE_MS - phase)
        if self.outage[1] > self.outage[0] and self.kind == "crash":
            found.append(self.outage[0])
        if self.outage[1] - self.outage[0] > SILENCE_MS and self.kind == "hang":
            found.append(self.outage[0] + SILENCE_MS - phase)
        return found


@dataclass
class Life:
    """A run: :meth:`live` plays it. ``sent`` holds (steady ms since the start, notice)."""

    policy: Policy
    network: Network
    until: float
    heartbeat: bool = True
    sent: list[tuple[float, Notice]] = field(default_factory=list)
    pings: int = 0

    def live(self) -> Life:
        state = TargetState("bot")
        known: dict[str, Incident] = {}
        pace = Pace(EPOCH_MS + 5000)
        waiting: list[tuple[float, int, ProbeResult]] = []  # pings under way, by their end
        breaks = sorted(self.network.link_breaks()) if self.heartbeat else []
        at = 0.0
        next_tick = 0.0

        def now() -> Now:
            return Now(int(EPOCH_MS + at), int(EPOCH_MS + at))

        def take(fact: ProbeResult | Tick) -> None:
            nonlocal state
            before = state
            step = fold(before, fact, self.policy, now())
            state = step.state
            known.update({incident.id: incident for incident in step.opened})
            ended = [whole(known[incident.id], incident) for incident in step.closed]
            self.sent += [(at, notice) for notice in notices_of(before, step, list(step.opened), ended)]

        while at < self.until:
            due, cause = pace.due(state, self.policy, now())
            due -= EPOCH_MS
            end = waiting[0][0] if waiting else float("inf")
            trouble = breaks[0] if breaks else float("inf")
            at = max(at, min(due, end, trouble, next_tick))
            if at == trouble:
                breaks.pop(0)
                pace.suspect(EPOCH_MS + at)
            elif at >= end:
                _, number, result = heapq.heappop(waiting)
                take(result)
                pace.ended(number, result, state)
            elif at >= due:
                self.pings += 1
                number = pace.started(cause, self.policy, EPOCH_MS + at)
                heapq.heappush(waiting, self._begin(number, cause, at))
            else:
                next_tick = at + 60_000
                take(Tick())
        return self

    def _begin(self, number: int, cause: Cause, at: float) -> tuple[float, int, ProbeResult]:
        ended, result = self.network.result(cause, at)
        return ended, number, result


def whole(opened: Incident, ended: Incident) -> Incident:
    return Incident(
        opened.id,
        opened.target,
        opened.kind,
        opened.opened_at_ms,
        opened.decided_at_ms,
        opened.reason,
        ended.closed_at_ms,
        ended.close_reason,
    )
