"""The clock of a program: it never jumps when the wall clock of the machine is set.

Moments in the store are wall milliseconds, so the program needs a wall time that it can subtract.
This one counts with the machine's time since boot. It approaches the wall clock slowly while the
two are less than a minute apart. A larger step is not followed at once: only when the wall clock
was steady for some minutes, and then everything that is stored moves with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from shared.clock import Clock, SystemClock, epoch_ms, from_ms

STEP_MS = 2000  # a clock that is slewed gains or loses far less between two checks
SLEWED_MS = 60_000
_SLEW = 0.05  # of the time that passes: a wait gets 5 % longer or shorter at most
FOLLOW_AFTER_S = 600.0
_REST_S = 60.0  # attempts that began before a move have ended by then
_LONG_STOP_MS = 3_600_000
LONGEST_WAIT_MS = 3_600_000
STEPS_KEPT = 50


class SavedClock(msgspec.Struct, frozen=True):
    """What a store keeps. ``steps`` are the forward moves as pairs (moment after it, ms)."""

    service_ms: int
    elapsed_ms: int
    machine: str
    steps: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """How stored moments change when the service clock follows the wall clock by ``by_ms``.

    ``shifts`` is False when the time from before is right, after a start: then no moment may lie
    in the future and no wait may be longer than ``LONGEST_WAIT_MS``. ``now_ms`` is the new time.
    """

    by_ms: int
    now_ms: int
    shifts: bool

    def past(self, at_ms: int) -> int:
        """The new value of a moment that has been."""
        return at_ms + self.by_ms if self.shifts else min(at_ms, self.now_ms)

    def due(self, at_ms: int) -> int:
        """The new value of a moment that something waits for."""
        return at_ms + self.by_ms if self.shifts else min(at_ms, self.now_ms + LONGEST_WAIT_MS)


class ServiceClock:
    """Satisfies :class:`shared.clock.Clock`. Call :meth:`check` about once a second.

    ``elapsed`` gives seconds that never jump; ``machine`` names the run of the machine in which
    they count, and is empty when that is not known.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        elapsed: Callable[[], float] | None = None,
        machine: str = "",
        follow_after_s: float = FOLLOW_AFTER_S,
    ) -> None:
        self._clock, self._elapsed, self._machine = clock, elapsed or clock.monotonic, machine
        self.follow_after_s = follow_after_s
        self._checked_s, self._checked_ms = self._elapsed(), epoch_ms(clock)
        self._offset_ms = self._checked_ms - self._checked_s * 1000
        self._steady_since_s = self._checked_s
        self._unsure_until_s = self._checked_s
        self._starting = False
        self._steps: tuple[tuple[int, int], ...] = ()

    # --- the clock ---

    def now(self) -> datetime:
        return from_ms(self.now_ms())

    def now_ms(self) -> int:
        return int(self._elapsed() * 1000 + self._offset_ms)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        return self._clock.alarm(seconds, ring)

    # --- what may be deleted ---

    @property
    def steady(self) -> bool:
        """Whether things may expire and be deleted: no large step lately, and none to follow."""
        return self._elapsed() >= self._unsure_until_s and abs(self.ahead_ms()) <= SLEWED_MS

    def ago_ms(self, age_ms: int) -> int:
        """The moment that was stored ``age_ms`` ago; it may lie before a step that was followed."""
        moment = self.now_ms() - age_ms
        for after_ms, by_ms in reversed(self._steps):
            if moment >= after_ms:
                break
            moment -= by_ms
        return moment

    # --- the wall clock ---

    def ahead_ms(self) -> int:
        """How far the wall clock is ahead of this one."""
        return epoch_ms(self._clock) - self.now_ms()

    def check(self) -> int:
        """Compare with the wall clock. Returns its step in ms since the last call, 0 for none."""
        now_s, wall_ms = self._elapsed(), epoch_ms(self._clock)
        passed_ms = (now_s - self._checked_s) * 1000
        step_ms = int(wall_ms - self._checked_ms - passed_ms)
        self._checked_s, self._checked_ms = now_s, wall_ms
        if abs(step_ms) < STEP_MS:
            step_ms = 0
        ahead_ms = self.ahead_ms()
        if step_ms:
            self._steady_since_s = now_s
            if abs(step_ms) > SLEWED_MS:
                self._wait_until_steady(now_s)
        if abs(ahead_ms) <= SLEWED_MS:
            most_ms = passed_ms * _SLEW
            self._offset_ms += max(-most_ms, min(ahead_ms, most_ms))
        if self._elapsed() >= self._unsure_until_s and abs(ahead_ms) <= SLEWED_MS:
            self._starting = False
        return step_ms

    def next_move(self) -> Move | None:
        """What to do now to follow the wall clock; None while it is near or not steady."""
        ahead_ms = self.ahead_ms()
        if abs(ahead_ms) <= SLEWED_MS:
            return None
        # After a start with a clock that was behind, its correction can only be right.
        corrected = self._starting and ahead_ms > 0
        if self._elapsed() - self._steady_since_s < self.follow_after_s and not corrected:
            return None
        return Move(ahead_ms, self.now_ms() + ahead_ms, shifts=not self._starting)

    def moved(self, move: Move) -> SavedClock:
        """What to store together with the moments that ``move`` changes."""
        saved = self.saved()
        steps = saved.steps
        if move.shifts and move.by_ms > 0:
            steps = (*steps, (move.now_ms, move.by_ms))[-STEPS_KEPT:]
        return SavedClock(saved.service_ms + move.by_ms, saved.elapsed_ms, saved.machine, steps)

    def follow(self, move: Move, saved: SavedClock) -> None:
        """``move`` and ``saved`` are stored: from now on this is the time."""
        self._offset_ms += move.by_ms
        self._steps = saved.steps
        self._unsure_until_s = max(self._unsure_until_s, self._elapsed() + min(_REST_S, self.follow_after_s))

    # --- over a restart ---

    @property
    def machine(self) -> str:
        """The run of the machine in which this clock counts."""
        return self._machine

    def saved(self) -> SavedClock:
        """What :meth:`resume` of the next run needs."""
        return SavedClock(self.now_ms(), int(self._elapsed() * 1000), self._machine, self._steps)

    def resume(self, saved: SavedClock | None) -> None:
        """Go on where the last run of the program stopped, at the start of this one."""
        if saved is None:
            return
        self._steps = saved.steps
        now_s, wall_ms = self._elapsed(), epoch_ms(self._clock)
        if self._machine and saved.machine == self._machine and now_s * 1000 >= saved.elapsed_ms - 1000:
            self._offset_ms = saved.service_ms - saved.elapsed_ms
        elif wall_ms < saved.service_ms - SLEWED_MS:
            # The clock is wrong now, or was wrong then. Time does not go back before it is known.
            self._offset_ms, self._starting = saved.service_ms - now_s * 1000, True
        elif wall_ms - saved.service_ms > _LONG_STOP_MS:
            self._starting = True
            self._wait_until_steady(now_s)
        self._steady_since_s = now_s
        if abs(self.ahead_ms()) > SLEWED_MS:
            self._wait_until_steady(now_s)

    def _wait_until_steady(self, now_s: float) -> None:
        self._unsure_until_s = now_s + self.follow_after_s


def system_service_clock(follow_after_s: float = FOLLOW_AFTER_S) -> ServiceClock:
    """The service clock of a program that runs on this machine."""
    return ServiceClock(SystemClock(), elapsed=seconds_since_boot, machine=machine_run(), follow_after_s=follow_after_s)


def steady(clock: Clock) -> bool:
    """:attr:`ServiceClock.steady`; other clocks always are."""
    return clock.steady if isinstance(clock, ServiceClock) else True


def ago_ms(clock: Clock, age_ms: int) -> int:
    """:meth:`ServiceClock.ago_ms`; with other clocks a plain difference."""
    return clock.ago_ms(age_ms) if isinstance(clock, ServiceClock) else epoch_ms(clock) - age_ms


def other_time(clock: Clock) -> datetime | None:
    """The wall time while it is far from that of ``clock``, so that one of the two is wrong."""
    if not isinstance(clock, ServiceClock):
        return None
    ahead_ms = clock.ahead_ms()
    return from_ms(clock.now_ms() + ahead_ms) if abs(ahead_ms) > SLEWED_MS else None


def seconds_since_boot() -> float:
    """Seconds that also count while the machine is suspended, where the system has such a clock."""
    kind = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if kind is None else time.clock_gettime(kind)


def machine_run() -> str:
    """The id of this run of the machine; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
