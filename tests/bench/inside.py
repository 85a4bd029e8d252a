"""What the service says of its own event loop, and the kernel of its thread, over a stretch of time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.support.processes import Program

_BUCKET = re.compile(r'^veilleur_bot_loop_turn_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.M)


@dataclass(frozen=True)
class Moment:
    """Totals at one moment: turns of the loop by upper bound, seconds that its thread ran and waited for a core."""

    turns: dict[str, float]
    ran_s: float
    waited_s: float


async def moment(program: Program) -> Moment:
    async with aiohttp.ClientSession() as http, http.get(f"{program.url}/metrics") as answer:
        turns = {bound: float(count) for bound, count in _BUCKET.findall(await answer.text())}
    ran, waited, _ = Path(f"/proc/{program.pid}/schedstat").read_text().split()
    return Moment(turns, int(ran) / 1e9, int(waited) / 1e9)


def told(before: Moment, after: Moment) -> str:
    """For a person: how many turns were long, the bound that none exceeded, and how much the thread had of a core."""
    turns = {bound: count - before.turns.get(bound, 0.0) for bound, count in after.turns.items()}
    total = turns["+Inf"]
    longer = {bound: int(total - turns[bound]) for bound in ("0.02", "0.05", "0.1")}
    worst = next(bound for bound, count in turns.items() if count == total)
    words = ", ".join(f"{count} > {float(bound) * 1000:.0f} ms" for bound, count in longer.items())
    ran_s, waited_s = after.ran_s - before.ran_s, after.waited_s - before.waited_s
    return (
        f"{total:.0f} turns: {words}, none > {float(worst) * 1000:.0f} ms; "
        f"the thread ran {ran_s:.1f} s and waited {waited_s:.1f} s for a core"
    )
