"""Figures of delivery: notices sent and failed by reason, how long they took, what waits and for how long."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400)


class DeliveryMeter:
    """Registers its metrics in ``registry``."""

    def __init__(self, registry: CollectorRegistry, prefix: str = "veilleur_watchdog") -> None:
        self._sent = Counter(f"{prefix}_notifications", "Notices delivered", ["kind"], registry=registry)
        self._failed = Counter(
            f"{prefix}_notifications_failed", "Tries to deliver that failed", ["reason"], registry=registry
        )
        self._withheld = Counter(
            f"{prefix}_notifications_withheld", "Notices muted, merged or held", ["reason"], registry=registry
        )
        self._latency = Histogram(
            f"{prefix}_notification_latency_seconds",
            "From the decision to the delivery",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._deadman = Counter(
            f"{prefix}_deadman_calls", "Calls of DEADMAN_URL by result", ["result"], registry=registry
        )
        self._depth = Gauge(f"{prefix}_outbox_depth", "Notices that wait for delivery", registry=registry)
        self._oldest = Gauge(f"{prefix}_outbox_oldest_seconds", "Age of the oldest waiting notice", registry=registry)

    def sent(self, kind: str, waited_ms: int) -> None:
        self._sent.labels(kind).inc()
        self._latency.observe(max(0, waited_ms) / 1000)

    def failed(self, reason: str) -> None:
        self._failed.labels(reason).inc()

    def withheld(self, reason: str) -> None:
        self._withheld.labels(reason).inc()

    def outbox(self, depth: int, oldest_ms: int) -> None:
        self._depth.set(depth)
        self._oldest.set(oldest_ms / 1000)

    def deadman(self, result: str) -> None:
        """``result`` is ok, failed or withheld."""
        self._deadman.labels(result).inc()
