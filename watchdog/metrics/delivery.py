"""Metrics of delivery."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400)


class DeliveryMetrics:
    """``deadman`` results are ok, failed or withheld."""

    def __init__(self, registry: CollectorRegistry, prefix: str = "veilleur_watchdog") -> None:
        def counter(name: str, text: str, label: str) -> Counter:
            return Counter(f"{prefix}_{name}", text, [label], registry=registry)

        self.sent = counter("notifications", "Notices delivered", "kind")
        self.failed = counter("notifications_failed", "Tries to deliver that failed", "reason")
        self.withheld = counter("notifications_withheld", "Notices muted, merged or held", "reason")
        self.deadman = counter("deadman_calls", "Calls of DEADMAN_URL by result", "result")
        self.latency = Histogram(
            f"{prefix}_notification_latency_seconds",
            "From the decision to the delivery",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.depth = Gauge(f"{prefix}_outbox_depth", "Notices that wait for delivery", registry=registry)
        self.oldest = Gauge(f"{prefix}_outbox_oldest_seconds", "Age of the oldest waiting notice", registry=registry)
