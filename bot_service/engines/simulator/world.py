"""What all simulated sessions of one worker share: sink, time, options, files, numbers."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot_service.engines.arrived_files import ArrivedFiles
from bot_service.engines.port import EngineSink
from bot_service.engines.simulator.options import SimulatorOptions
from bot_service.engines.simulator.store import Files
from bot_service.engines.simulator.timers import Timers
from shared.clock import Clock, to_ms

if TYPE_CHECKING:
    from bot_service.engines.simulator.session import SimulatedSession


@dataclass(slots=True)
class World:
    """One per simulator engine."""

    sink: EngineSink
    clock: Clock
    timers: Timers
    options: SimulatorOptions
    files: Files
    media: ArrivedFiles
    numbers: dict[str, SimulatedSession] = field(default_factory=dict)
    born_ms: int = field(init=False)
    leaked: list[bytearray] = field(default_factory=list)
    leaked_descriptors: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.born_ms = self.now_ms()

    def now_ms(self) -> int:
        """Wall time in ms since the epoch."""
        return to_ms(self.clock.now())

    def random_for(self, *parts: object) -> random.Random:
        """A random generator that depends on the seed and ``parts`` only."""
        text = "/".join(str(part) for part in (self.options.seed, *parts))
        return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))  # noqa: S311


def digits_of(address: str) -> str:
    """The digits of a JID or telephone number; empty when there are none."""
    user = address.partition("@")[0].partition(":")[0]
    return "".join(character for character in user if character.isdigit())


def jid_of(address: str) -> str:
    """The JID of a chat for a JID or a telephone number."""
    return address if "@" in address else f"{digits_of(address)}@s.whatsapp.net"
