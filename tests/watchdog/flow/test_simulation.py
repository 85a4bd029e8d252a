"""Ten thousand lives of a bot on a bad network: no alert that is false, and every true outage alerted exactly once."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.support.simulation import TIMEOUT_MS, Life, Network
from watchdog.domain.policy import Policy
from watchdog.domain.states import NoticeKind

RUNS, BLOCKS = 10_000, 20
MINUTE = 60_000.0
LIFE = 40 * MINUTE
# From the first moment at which the outage can be seen: silence, three retries, a time-out, the look at ourselves.
BOUND = 5000 + 3 * 2000 + TIMEOUT_MS + 4000


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def one_life(seed: int) -> tuple[Life, bool]:
    """A life with five minutes of own network outage, and in half of them a true outage; whether it must be seen."""
    chance = random.Random(seed)
    interval = chance.choices([10_000, 60_000, 600_000], [1, 9, 30])[0]
    blind_from = chance.uniform(1, 25) * MINUTE
    network = Network(chance, blind=(blind_from, blind_from + 5 * MINUTE))
    must_see = False
    if seed % 2:
        network.kind = chance.choice(["crash", "hang", "error"])
        begin = chance.uniform(1, 25) * MINUTE
        network.outage = (begin, begin + chance.uniform(0.5, 13) * MINUTE)
        # Errors are seen by regular pings only; a crash or a hang by the heartbeat, or by regular pings after blindness.
        begins = max(begin, network.blind[1]) if network.is_blind(begin) else begin
        cut = network.blind[0] if begins < network.blind[0] < network.outage[1] else network.outage[1]
        slowest = BOUND + (interval if network.kind == "error" or network.is_blind(begin) else 0)
        must_see = cut - begins > slowest
    return Life(Policy(interval_ms=interval), network, LIFE).live(), must_see


# The lives are independent of each other: a twentieth of them is enough to notice a mistake soon, all of them run in the deep tests.
@pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.deep) for block in range(1, BLOCKS))])
def test_ten_thousand_lives_have_no_false_alert_and_every_outage_is_alerted_once(block: int) -> None:
    tally: Counter[str] = Counter()
    for seed in range(block * RUNS // BLOCKS, (block + 1) * RUNS // BLOCKS):
        life, must_see = one_life(seed)
        kinds = [notice.kind for _, notice in life.sent]
        downs = [at for at, notice in life.sent if notice.kind is NoticeKind.DOWN]
        begin, end = life.network.outage
        true = [at for at in downs if begin < at < end + TIMEOUT_MS + 4000]
        assert downs == true, f"seed {seed}: a false alert at {downs}, outage {life.network.outage}"
        assert len(downs) <= 1, f"seed {seed}: alerted {len(downs)} times"
        assert kinds.count(NoticeKind.UP) == len(downs), f"seed {seed}: {kinds}"
        assert NoticeKind.FLAPPING not in kinds, f"seed {seed}: {life.sent}"
        assert kinds.count(NoticeKind.BLIND) == kinds.count(NoticeKind.BLIND_OVER)
        if must_see:
            assert downs, f"seed {seed}: outage {life.network.kind} {life.network.outage} was never alerted"
        tally["pings"] += life.pings
        tally["outages"] += end > begin
        tally["must be seen"] += must_see
        tally["alerted"] += len(downs)
        tally["blind"] += kinds.count(NoticeKind.BLIND)
    print("tally", dict(tally))
    assert tally["must be seen"] > RUNS / BLOCKS / 5, "the simulation has to have something to find"
    assert tally["blind"] > RUNS / BLOCKS / 2
