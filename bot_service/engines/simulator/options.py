"""The speed and randomness of a simulator; each value is an engine option of the same name."""

from __future__ import annotations

from dataclasses import dataclass, fields

from bot_service.engines.port import EngineError


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """Durations in milliseconds. ``auto_pair_ms`` >= 0: phones scan their code after that time.

    ``record_links`` 1: the begin and end of every login is written to the file ``links``.
    """

    seed: int = 1
    connect_ms: int = 80
    reconnect_ms: int = 2_000
    qr_first_ms: int = 60_000
    qr_next_ms: int = 20_000
    qr_codes: int = 6
    auto_pair_ms: int = -1
    delivered_ms: int = 150
    read_ms: int = 600
    frame_ms: int = 20_000
    keepalive_ms: int = 25_000
    keepalive_give_up_ms: int = 180_000
    retry_ms: int = 1_000
    post_ms: int = 300
    record_links: int = 0

    @classmethod
    def read(cls, options: dict[str, str]) -> SimulatorOptions:
        """Raises :class:`EngineError` ``invalid`` for an unknown name or no number."""
        known = {field.name for field in fields(cls)}
        values: dict[str, int] = {}
        for name, text in options.items():
            if name not in known:
                raise EngineError("invalid", f"the simulator has no option {name}; it has {', '.join(sorted(known))}")
            try:
                values[name] = int(text)
            except ValueError:
                raise EngineError("invalid", f"the simulator's option {name} is a whole number") from None
        return cls(**values)
