"""Metrics that are computed at a scrape: workers' memory, the client version, ages of sessions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bot_service.operations.metrics import PREFIX
from bot_service.sessions.client_version import VersionFacts
from shared.clock import Clock
from shared.cooperative import CooperativeLoop

AGE_BUCKETS_S = (1, 5, 15, 30, 60, 120, 300, 900, 3600, 21_600, 86_400)


class WorkerMemory(Collector):
    """Memory of engine workers by place (0, 1, …): an id would change with each restart."""

    def __init__(self, resident_bytes: Callable[[], Iterable[int]]) -> None:
        self._resident_bytes = resident_bytes

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(PREFIX + "worker_resident_bytes", "Memory of engine workers", labels=["worker"])
        for place, count in enumerate(self._resident_bytes()):
            family.add_metric([str(place)], count)
        yield family


class AnnouncedClientVersion(Collector):
    """The client version that new engine workers announce to WhatsApp."""

    def __init__(self, facts: Callable[[], VersionFacts]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts()
        yield _gauge("outdated", "1 while WhatsApp refuses the client version and logins wait", float(facts.outdated))
        problem = {"reason": facts.problem_reason} if facts.problem_reason is not None else None
        yield _gauge(
            "builtin_used",
            "1 while the chosen client version cannot be announced, by reason",
            None if problem is None else 1.0,
            problem or {"reason": ""},
        )
        if facts.version is None or facts.source is None or facts.age_days is None:
            return
        labels = {"version": facts.version, "source": facts.source.value}
        yield _gauge("info", "Always 1: the announced client version", 1.0, labels)
        yield _gauge("age_days", "About how many days ago the announced client version was published", facts.age_days)


def _gauge(name: str, text: str, value: float | None, labels: dict[str, str] | None = None) -> Metric:
    """A gauge of the client version with at most one value."""
    labels = labels or {}
    family = GaugeMetricFamily(f"{PREFIX}client_version_{name}", text, labels=list(labels))
    if value is not None:
        family.add_metric(list(labels.values()), value)
    return family


class SessionAges(Collector):
    """Times since sessions last received something, as histograms over all connected sessions.

    ``ages_ms()`` yields (since the last frame, since the last inbound), None when unknown. A loop
    counts in slices, so a scrape never waits until ten thousand sessions are counted.
    """

    def __init__(
        self, clock: Clock, ages_ms: Callable[[], Iterable[tuple[int | None, int | None]]], *, every_s: float = 10.0
    ) -> None:
        self._clock, self._ages_ms, self._every_s = clock, ages_ms, every_s
        self._counts = _Counts(), _Counts()

    async def run(self) -> None:
        """The loop."""
        while True:
            await self._count()
            await self._clock.sleep(self._every_s)

    async def _count(self) -> None:
        frames, inbound = _Counts(), _Counts()
        pause = CooperativeLoop()
        for frame_ms, inbound_ms in self._ages_ms():
            frames.add(frame_ms)
            inbound.add(inbound_ms)
            if pause.spent:
                await pause.take()
        self._counts = frames, inbound

    def collect(self) -> Iterator[Metric]:
        frames, inbound = self._counts
        yield frames.family("seconds_since_last_frame", "Ages of the last frame over all connected sessions")
        yield inbound.family("seconds_since_last_inbound", "Ages of the last inbound over all connected sessions")


class _Counts:
    def __init__(self) -> None:
        self._in_bucket = [0] * (len(AGE_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, age_ms: int | None) -> None:
        if age_ms is None:
            return
        age_s = age_ms / 1000
        self._in_bucket[bisect_left(AGE_BUCKETS_S, age_s)] += 1
        self._sum_s += age_s

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        buckets: list[tuple[str, float]] = []
        total = 0
        for count, bound in zip(self._in_bucket, (*map(float, AGE_BUCKETS_S), "+Inf"), strict=True):
            total += count
            buckets.append((str(bound), total))
        return HistogramMetricFamily(PREFIX + name, text, buckets=buckets, sum_value=self._sum_s)
