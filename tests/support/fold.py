"""Drives ``health.fold`` by hand: one target, one clock in milliseconds, short words for facts."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchdog.domain.facts import BeatSeen, BeatsLost, Fact, StopAnnounced, Tick, WatchdogStarted
from watchdog.domain.health import fold
from watchdog.domain.outcome import Cause, Outcome, ProbeResult
from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import Incident, IncidentKind, State
from watchdog.domain.target import Step, TargetState

EPOCH_MS = 1_790_000_000_000


@dataclass
class Folded:
    """``opened`` and ``closed`` collect the kinds of incidents in order."""

    policy: Policy = field(default_factory=Policy)
    state: TargetState = field(default_factory=lambda: TargetState("bot"))
    elapsed_ms: int = 0
    wall_step_ms: int = 0
    steps: list[Step] = field(default_factory=list)
    opened: list[Incident] = field(default_factory=list)
    closed: list[Incident] = field(default_factory=list)

    @property
    def now(self) -> Now:
        return Now(EPOCH_MS + self.elapsed_ms + self.wall_step_ms, EPOCH_MS + self.elapsed_ms)

    @property
    def last_flip(self) -> tuple[State, State, str]:
        """The last change of the displayed state: from, to, reason."""
        flip = next(step.flip for step in reversed(self.steps) if step.flip is not None)
        return flip.old, flip.new, flip.reason

    def wait(self, seconds: float) -> Folded:
        self.elapsed_ms += int(seconds * 1000)
        return self

    def take(self, fact: Fact) -> Step:
        step = fold(self.state, fact, self.policy, self.now)
        self.state = step.state
        self.steps.append(step)
        self.opened += step.opened
        self.closed += step.closed
        return step

    def ping(
        self,
        outcome: Outcome = Outcome.OK,
        *,
        reason: str = "",
        refused: int | None = None,
        boot: str | None = None,
        took_s: float = 0.01,
        since_ms: int | None = None,
        by_bot: bool = False,
    ) -> Step:
        took_ms = int(took_s * 1000)
        return self.take(
            ProbeResult(
                target="bot",
                cause=Cause.SCHEDULE,
                started_at_ms=self.now.wall_ms - took_ms,
                at_ms=self.now.wall_ms,
                outcome=outcome,
                reason=reason or ("ok" if outcome is Outcome.OK else "timeout"),
                latency_ms=float(took_ms),
                refused=refused,
                boot_id=boot,
                by_bot=by_bot,
                duration_ms=took_ms,
                since_ms=since_ms,
            )
        )

    def ok(self, *, boot: str | None = None, took_s: float = 0.01) -> Step:
        return self.ping(boot=boot, took_s=took_s)

    def fail(self, *, reason: str = "connect_refused", took_s: float = 0.01, since_ms: int | None = None) -> Step:
        return self.ping(Outcome.TARGET_FAIL, reason=reason, took_s=took_s, since_ms=since_ms)

    def own_fault(self, *, took_s: float = 0.01) -> Step:
        return self.ping(Outcome.SELF_FAIL, reason="no_canary", took_s=took_s)

    def refuse(self, status: int = 401) -> Step:
        return self.ping(Outcome.UNKNOWN, reason=f"refused_{status}", refused=status)

    def go_down(self) -> Step:
        """Three failures two seconds apart."""
        self.fail()
        self.wait(2).fail()
        return self.wait(2).fail()

    def recover(self) -> Step:
        self.wait(2).ok()
        return self.wait(2).ok()

    def beat(
        self, *, boot: str = "b1", wanted: int = 0, ready: int = 0, needs_person: int = 0, starting: bool = False
    ) -> Step:
        return self.take(BeatSeen(boot, wanted, ready, needs_person, starting=starting))

    def beats_lost(self) -> Step:
        return self.take(BeatsLost())

    def failing_while_it_beats(self, seconds: int, reason: str, *, by_bot: bool = False) -> None:
        """A beat and a failed ping every two seconds."""
        for _ in range(seconds // 2):
            self.wait(1).beat()
            self.wait(1).ping(Outcome.TARGET_FAIL, reason=reason, by_bot=by_bot)

    def stop_announced(self, seconds: float, boot: str = "b1") -> Step:
        return self.take(StopAnnounced(boot, int(seconds * 1000)))

    def tick(self) -> Step:
        return self.take(Tick())

    def restart_watchdog(self, away_s: float) -> Step:
        seen = self.now.wall_ms
        self.wait(away_s)
        return self.take(WatchdogStarted(seen))

    @property
    def kinds(self) -> list[str]:
        """``down`` for an incident opened, ``-down`` for one closed, in order."""
        kinds = []
        for step in self.steps:
            kinds += [f"-{incident.kind}" for incident in step.closed]
            kinds += [str(incident.kind) for incident in step.opened]
        return kinds

    @property
    def states(self) -> list[State]:
        """Every state that was entered, in order."""
        return [step.flip.new for step in self.steps if step.flip is not None]

    def is_open(self, kind: IncidentKind) -> bool:
        return self.state.incident_of(kind) is not None
