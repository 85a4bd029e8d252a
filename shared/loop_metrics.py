"""Measures every turn of an event loop, from the moment it wakes until it waits again.

A caller may have to wait for one whole turn. Sampling the lag now and then would miss most stalls.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)


class LoopMeter:
    """Turns by length in seconds. The thread of the loop writes, any thread may read."""

    def __init__(self) -> None:
        self.in_bucket = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, length_s: float) -> None:
        self.in_bucket[bisect_left(BOUNDS_S, length_s)] += 1
        self.total_s += length_s

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """A loop that reports its turns here; the ``loop_factory`` of ``asyncio.Runner``."""
        return asyncio.SelectorEventLoop(_CountingSelector(self))


class _CountingSelector(selectors.DefaultSelector):
    """Marks the turns: the loop calls ``select`` exactly once in each."""

    def __init__(self, turns: LoopMeter) -> None:
        super().__init__()
        self._turns = turns
        self._began: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = self._began
        if began is not None:
            self._turns.add(time.monotonic() - began)
        found = super().select(timeout)
        self._began = time.monotonic()
        return found


class LoopTurnCollector(Collector):
    """:class:`LoopMeter` as a histogram of Prometheus."""

    def __init__(self, turns: LoopMeter, name: str) -> None:
        self._turns, self._name = turns, name

    def collect(self) -> Iterator[Metric]:
        buckets: list[tuple[str, float]] = []
        total = 0
        for count, bound in zip(self._turns.in_bucket, (*BOUNDS_S, "+Inf"), strict=True):
            total += count
            buckets.append((str(bound), total))
        text = "Turns of the event loop by length: what whoever asks may have to wait"
        yield HistogramMetricFamily(self._name, text, buckets=buckets, sum_value=self._turns.total_s)
