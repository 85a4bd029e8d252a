"""Figures of repairs: how they ended, why none was made, what the budget still allows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class RepairMeter:
    """Registers its metrics in ``registry``."""

    def __init__(self, registry: CollectorRegistry, prefix: str = "veilleur_watchdog") -> None:
        self._repairs = Counter(
            f"{prefix}_repairs", "Repairs by how they ended", ["action", "result"], registry=registry
        )
        self._refusals = Counter(
            f"{prefix}_repairs_refused", "Times a repair was refused anew, by reason", ["reason"], registry=registry
        )
        self._budget = Gauge(
            f"{prefix}_repair_budget_remaining", "Repairs that the budget still allows", ["target"], registry=registry
        )

    def ended(self, action: str, result: str) -> None:
        self._repairs.labels(action, result).inc()

    def refused(self, reason: str) -> None:
        self._refusals.labels(reason).inc()

    def budget(self, target: str, left: int) -> None:
        self._budget.labels(target).set(left)
