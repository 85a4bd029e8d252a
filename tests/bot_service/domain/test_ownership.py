"""Leases of replicas by the pure rules: on one clock with delays, kills, freezes and a database that is cut off."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_service.domain.ownership import Lease, LeaseTimes, Shift, shift, to_give
from bot_service.domain.states import State
from tests.bot_service.domain.sessions import session

TTL_S = 5.0
TIMES = LeaseTimes(TTL_S)
STEP_S = 0.05


@dataclass
class Table:
    """The database: each statement is one step. ``expires`` are leases of replicas, ``holders`` of sessions."""

    sessions: int
    expires: dict[int, float] = field(default_factory=dict)
    holders: dict[int, int | None] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.holders = dict.fromkeys(range(self.sessions))
        self.epochs = dict.fromkeys(range(self.sessions), 0)

    def renew(self, lease: int, now_s: float) -> bool:
        if self.expires.get(lease, -1.0) <= now_s:
            return False
        self.expires[lease] = now_s + TTL_S
        return True

    def bury(self, now_s: float) -> None:
        for lease in [lease for lease, end_s in self.expires.items() if end_s <= now_s]:
            del self.expires[lease]
            self.holders = {name: None if holder == lease else holder for name, holder in self.holders.items()}

    def counts(self) -> tuple[dict[int, int], int]:
        owned = dict.fromkeys(self.expires, 0)
        for holder in self.holders.values():
            if holder is not None:
                owned[holder] += 1
        return owned, sum(holder is None for holder in self.holders.values())

    def take(self, lease: int, count: int) -> int:
        if lease not in self.expires:  # the foreign key
            return 0
        free = [name for name, holder in self.holders.items() if holder is None][:count]
        for name in free:
            self.holders[name] = lease
            self.epochs[name] += 1
        return len(free)

    def give(self, lease: int, names: dict[int, int]) -> None:
        for name, epoch in names.items():
            if (self.holders[name], self.epochs[name]) == (lease, epoch):
                self.holders[name] = None

    def owned_by(self, lease: int) -> dict[int, int]:
        return {name: self.epochs[name] for name, holder in self.holders.items() if holder == lease}


_leases = itertools.count(1)


@dataclass
class World:
    """Time in steps; statements and their answers arrive after ``delay_s()``."""

    table: Table
    delay_s: Callable[[], float]
    now_s: float = 100.0
    on_the_way: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self.on_the_way.append((self.now_s + seconds, what))

    def step(self, replicas: list[Replica]) -> None:
        self.now_s += STEP_S
        due = [each for each in self.on_the_way if each[0] <= self.now_s]
        self.on_the_way = [each for each in self.on_the_way if each[0] > self.now_s]
        for _, what in sorted(due, key=lambda each: each[0]):
            what()
        for replica in replicas:
            replica.step()


@dataclass
class Replica:
    """Does what the rules say, with one statement at a time. ``away_until_s``: stopped by a signal.

    A statement without an answer in time may still be carried out later. ``own`` are epochs by session.
    """

    world: World
    lease: Lease = field(default_factory=lambda: Lease(TIMES))
    id: int | None = None
    own: dict[int, int] = field(default_factory=dict)
    leaving: dict[int, int] = field(default_factory=dict)
    away_until_s: float = 0.0
    cut_until_s: float = 0.0
    dead: bool = False
    _answers: list[Callable[[], None]] = field(default_factory=list)
    _asked_s: float | None = None
    _renew_s: float = 0.0
    _round_s: float = 0.0
    _may_take: bool = False

    def does_something(self, name: int) -> bool:
        return not self.dead and name in self.own and self.lease.holds(self.world.now_s)

    def step(self) -> None:
        if self.dead or self.world.now_s < self.away_until_s:
            return
        if self.id is not None and not self.lease.holds(self.world.now_s):
            self._let_go()
        answers, self._answers = self._answers, []
        for answer in answers:
            self._asked_s = None
            answer()
        if self._asked_s is not None:
            if self.world.now_s - self._asked_s < TTL_S / 2:
                return
            self._asked_s = None  # no answer: asked again
        if self.id is None:
            self._register()
        elif self.world.now_s >= self._renew_s:
            self._renew(self.id)
        elif self.world.now_s >= self._round_s:
            self._round(self.id)

    def _let_go(self) -> None:
        self.id, self.lease, self._may_take = None, Lease(TIMES), False
        self.own.clear()
        self.leaving.clear()

    def _ask(self, statement: Callable[[float], Callable[[], None]]) -> None:
        """``statement(now)`` runs in the database and returns what its answer does here."""
        asked_s = self._asked_s = self.world.now_s
        if self.world.now_s < self.cut_until_s:
            return

        def run() -> None:
            answer = statement(self.world.now_s)

            def arrive() -> None:
                if self._asked_s == asked_s:  # nothing else was asked since
                    self._answers.append(answer)

            self.world.after(self.world.delay_s(), arrive)

        self.world.after(self.world.delay_s(), run)

    def _register(self) -> None:
        asked_s, lease = self.world.now_s, next(_leases)

        def statement(now_s: float) -> Callable[[], None]:
            self.world.table.expires[lease] = now_s + TTL_S

            def answer() -> None:
                self.id, self.lease = lease, Lease(TIMES).renewed(asked_s)
                self._renew_s = asked_s + TIMES.renew_s

            return answer

        self._ask(statement)

    def _renew(self, me: int) -> None:
        asked_s = self.world.now_s

        def statement(now_s: float) -> Callable[[], None]:
            taken = self.world.table.renew(me, now_s)

            def answer() -> None:
                if self.id != me:
                    return
                if not taken:
                    self._let_go()
                    return
                self.lease, self._may_take = self.lease.renewed(asked_s), True
                self._renew_s = asked_s + TIMES.renew_s

            return answer

        self._ask(statement)

    def _round(self, me: int) -> None:
        def statement(now_s: float) -> Callable[[], None]:
            table = self.world.table
            table.bury(now_s)
            took = 0
            owned, free = table.counts()
            names = {str(lease): count for lease, count in owned.items()}
            due = shift(str(me), names, 0, free) if self._may_take and me in owned else Shift()
            if due.take:
                took = table.take(me, due.take)
            mine = table.owned_by(me)
            ends = [end_s - now_s for lease, end_s in table.expires.items() if lease != me]

            def answer() -> None:
                self._round_s = self.world.now_s + min([TIMES.renew_s, *(max(0.0, end_s) for end_s in ends)])
                if took:  # who took before may leave more than it seemed
                    self._round_s = self.world.now_s
                if self.id != me:
                    return
                # Also what an earlier statement took whose answer was lost.
                self.own = {name: epoch for name, epoch in mine.items() if epoch > self.leaving.get(name, -1)}
                # Stopped first, then freed; again until there is an answer.
                self.leaving.update({name: self.own.pop(name) for name in sorted(self.own)[: due.give]})
                if self.leaving:
                    self._give(me, dict(self.leaving))

            return answer

        self._ask(statement)

    def _give(self, me: int, given: dict[int, int]) -> None:
        def statement(_: float) -> Callable[[], None]:
            self.world.table.give(me, given)

            def answer() -> None:
                for name in given:
                    self.leaving.pop(name, None)

            return answer

        self._ask(statement)


def run_for(world: World, replicas: list[Replica], seconds: float) -> None:
    for _ in range(round(seconds / STEP_S)):
        world.step(replicas)
        active = [set(replica.own) for replica in replicas if not replica.dead and replica.lease.holds(world.now_s)]
        assert sum(map(len, active)) == len(set().union(*active)), f"two owners at {world.now_s}: {active}"


def settled(sessions: int, count: int, delays: list[float]) -> tuple[World, list[Replica]]:
    """Replicas that have shared ``sessions``."""
    several = itertools.cycle(delays)
    world = World(Table(sessions), lambda: next(several))
    replicas = [Replica(world) for _ in range(count)]
    run_for(world, replicas, 20.0)
    owned = [len(replica.own) for replica in replicas]
    assert sum(owned) == sessions
    assert max(owned) - min(owned) <= 1
    return world, replicas


short_delays = st.lists(st.floats(0.0, 0.04), min_size=1, max_size=7)
long_delays = st.lists(st.one_of(st.floats(0.0, 0.2), st.floats(0.0, 6.0)), min_size=1, max_size=11)
faults = st.lists(
    st.tuples(st.floats(0.0, 6.0), st.integers(0, 3), st.sampled_from(["kill", "freeze", "cut", "new"]), st.floats(0.1, 12.0)),
    max_size=8,
)  # fmt: skip


@settings(max_examples=60)
@given(sessions=st.integers(0, 13), count=st.integers(1, 4), delays=long_delays, happens=faults)
def test_no_session_ever_has_two_owners_and_all_have_one_in_the_end(
    sessions: int, count: int, delays: list[float], happens: list[tuple[float, int, str, float]]
) -> None:
    several = itertools.cycle(delays)
    slow = [True]
    world = World(Table(sessions), lambda: next(several) if slow[0] else 0.01)
    replicas = [Replica(world) for _ in range(count)]
    for wait_s, index, what, for_s in happens:
        run_for(world, replicas, wait_s)
        replica = replicas[index % len(replicas)]
        if what == "kill":
            replica.dead = True
        elif what == "freeze":
            replica.away_until_s = world.now_s + for_s
        elif what == "cut":
            replica.cut_until_s = world.now_s + for_s
        else:
            replicas.append(Replica(world))
    replicas.append(Replica(world))  # one lives in any case
    slow[0] = False
    run_for(world, replicas, 40.0)
    owned = [len(replica.own) for replica in replicas if not replica.dead]
    assert sum(owned) == sessions
    assert max(owned) - min(owned) <= 1


@settings(max_examples=60)
@given(
    sessions=st.integers(1, 20), count=st.integers(2, 5), delays=short_delays,
    after_s=st.floats(0.0, 3.0), how=st.sampled_from(["kill", "freeze"]),
)  # fmt: skip
def test_after_a_kill_or_a_freeze_every_session_has_another_owner_within_the_lease_and_half_a_second(
    sessions: int, count: int, delays: list[float], after_s: float, how: str
) -> None:
    world, replicas = settled(sessions, count, delays)
    run_for(world, replicas, after_s)
    lost = replicas[0]
    if how == "kill":
        lost.dead = True
    else:
        lost.away_until_s = world.now_s + 60.0
    run_for(world, replicas, TTL_S + 0.5)
    for name in range(sessions):
        assert any(replica.does_something(name) for replica in replicas[1:])
    owned = [len(replica.own) for replica in replicas[1:]]
    assert max(owned) - min(owned) <= 1


@given(sessions=st.integers(1, 20), count=st.integers(1, 4), delays=short_delays)
def test_a_replica_that_wakes_owns_nothing_and_comes_back_for_a_fair_share(
    sessions: int, count: int, delays: list[float]
) -> None:
    world, replicas = settled(sessions, count + 1, delays)
    before = dict(world.table.epochs)
    woken = replicas[0]
    had = set(woken.own)
    woken.away_until_s = world.now_s + 20.0
    run_for(world, replicas, 20.0)
    assert not any(woken.does_something(name) for name in range(sessions))
    assert all(world.table.epochs[name] == before[name] + (name in had) for name in range(sessions))
    run_for(world, replicas, 20.0)
    owned = [len(replica.own) for replica in replicas]
    assert max(owned) - min(owned) <= 1


@given(asked_s=st.floats(0, 1e6), later_s=st.floats(0, 100))
def test_a_replica_stops_before_its_workers_end_and_they_before_the_lease(asked_s: float, later_s: float) -> None:
    lease = Lease(TIMES).renewed(asked_s)
    assert lease.renew_s < lease.stops_s < lease.workers_end_s < lease.until_s == asked_s + TTL_S
    assert lease.holds(asked_s + later_s) is (asked_s + later_s < lease.stops_s)
    # An answer that was overtaken by a later one shortens nothing.
    assert lease.renewed(asked_s - 1) == lease
    assert not Lease(TIMES).holds(asked_s)


counts = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 30), min_size=1)


@given(owned=counts, elsewhere=st.integers(0, 30), free=st.integers(0, 30))
def test_shares_add_up_and_differ_by_one_at_most(owned: dict[str, int], elsewhere: int, free: int) -> None:
    due = {replica: shift(replica, owned, elsewhere, free) for replica in owned}
    assert all(each.take <= free and each.give <= owned[replica] for replica, each in due.items())
    assert all(not (each.take and each.give) for each in due.values())
    whole = {replica: shift(replica, owned, 0, 10_000) for replica in owned}
    after = [owned[replica] + each.take - each.give for replica, each in whole.items()]
    assert max(after) - min(after) <= 1
    assert sum(after) == sum(owned.values()) + 10_000


def test_what_is_even_within_one_stays_where_it_is() -> None:
    for owned in ({"a": 4, "b": 3, "c": 4}, {"a": 0, "b": 1}, {"a": 7}):
        assert all(shift(replica, owned, 0, 0) == Shift() for replica in owned)
    assert shift("a", {"a": 4, "b": 4, "c": 2}, 0, 0) == Shift()
    assert shift("b", {"a": 4, "b": 4, "c": 2}, 0, 0) == Shift(give=1)


def test_a_session_that_shows_a_code_is_kept_and_a_connected_one_is_given_last() -> None:
    states = {"a": State.READY, "b": State.PAIRING, "c": State.RECONNECTING, "d": State.DEGRADED}
    records = [msgspec.structs.replace(session(state), id=name) for name, state in states.items()]
    assert [each.id for each in to_give(records, 4)] == ["c", "d", "a"]
    assert [each.id for each in to_give(records, 1)] == ["c"]
