"""For any run of incidents, troubles of the channel and restarts: each incident is sent whole, in order, never overlapping."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.examples import examples
from tests.support.fake_clock import FakeClock
from tests.support.fake_notifier import FakeNotifier
from tests.support.memory_ledger import open_in_memory
from tests.watchdog.flow.dispatcher_bench import DispatcherBench, bench
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Incident

_ANSWERS: dict[str, Delivered | None] = {
    "works": None,
    "http_500": Delivered(False, "http_500"),
    "http_429": Delivered(False, "http_429", 90.0),
    "http_400": Delivered(False, "http_400"),
    "dns": Delivered(False, "dns"),
    "hang": None,
}

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 1200)),
        st.tuples(st.just("channel"), st.sampled_from(sorted(_ANSWERS))),
        st.tuples(st.just("fallback"), st.sampled_from(sorted(_ANSWERS))),
        st.tuples(st.sampled_from(["open", "close", "restart"]), st.none()),
        st.tuples(st.just("clock"), st.sampled_from([-3600, 3600])),
    ),
    min_size=1,
    max_size=25,
)


def _set(notifier: FakeNotifier, how: str) -> None:
    answer = _ANSWERS[how]
    notifier.hang = how == "hang"
    notifier.answer = None if answer is None else lambda _: answer


async def _story(steps: list[tuple[str, Any]]) -> None:
    clock, ledger = FakeClock(), open_in_memory()
    first, second = FakeNotifier(clock, "aaaa"), FakeNotifier(clock, "ffff")
    incidents: list[Incident] = []
    closed: set[str] = set()
    restarts, position, opened = 0, 0, 0
    while True:
        async with bench(clock, first, fallback=(second,), ledger=ledger) as at:
            running: DispatcherBench = at
            running._count = opened
            while position < len(steps) and steps[position][0] != "restart":
                what, value = steps[position]
                position += 1
                is_open = bool(incidents) and incidents[-1].id not in closed
                if what == "wait":
                    await clock.advance(value)
                elif what == "clock":
                    clock.step(value)
                elif what in ("channel", "fallback"):
                    _set(first if what == "channel" else second, value)
                elif what == "open" and not is_open:
                    opened += 1
                    incidents.append(await running.open())
                elif what == "close" and is_open:
                    await running.close(incidents[-1])
                    closed.add(incidents[-1].id)
                await clock.advance(0)
            if position >= len(steps):
                for notifier in (first, second):
                    _set(notifier, "works")
                await clock.advance(2 * 3600)
                assert running.dispatcher.depth.rows == 0, "something still waits although every channel works"
                break
        position += 1
        restarts += 1
    ledger.close()
    _judge(first, incidents, closed, restarts, must=True)
    _judge(second, incidents, closed, restarts, must=False)


def _judge(notifier: FakeNotifier, incidents: list[Incident], closed: set[str], restarts: int, *, must: bool) -> None:
    sent = [(notice.incident_id, str(notice.kind)) for _, notice in notifier.taken if notice.incident_id]
    ends = [entry for entry in sent if entry[1] in ("down", "up", "was_down")]
    for incident in incidents:
        kinds = [kind for name, kind in ends if name == incident.id]
        distinct = list(dict.fromkeys(kinds))
        whole = (["down", "up"], ["was_down"]) if incident.id in closed else (["down"],)
        assert distinct in whole or (not must and not distinct), (incident.id, kinds)
        assert len(kinds) <= len(distinct) + restarts
        ids = [notice.id for _, notice in notifier.taken if notice.incident_id == incident.id]
        assert all(name.startswith(f"{incident.id}:") for name in ids)


@example([("channel", "dns"), ("open", None), ("wait", 15), ("close", None)])
@example([("channel", "http_429"), ("open", None), ("clock", -3600), ("close", None)])
@settings(max_examples=examples(8))
@given(_STEPS)
def test_every_incident_is_sent_whole_whatever_happens_to_the_channels(steps: list[tuple[str, Any]]) -> None:
    with capture_logs():
        asyncio.run(_story(steps))
