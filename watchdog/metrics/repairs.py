"""Metrics of repairs."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class RepairMetrics:
    """By action and result, by reason of refusal, and the budget by target."""

    def __init__(self, registry: CollectorRegistry, prefix: str = "veilleur_watchdog") -> None:
        self.ended = Counter(f"{prefix}_repairs", "Repairs by how they ended", ["action", "result"], registry=registry)
        self.refused = Counter(
            f"{prefix}_repairs_refused", "Repairs refused, by new reason", ["reason"], registry=registry
        )
        self.budget = Gauge(
            f"{prefix}_repair_budget_remaining", "Repairs that the budget still allows", ["target"], registry=registry
        )
