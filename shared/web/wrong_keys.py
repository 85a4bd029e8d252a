"""Slows the answers to wrong keys, counts them, and logs them within a budget.

Only the answer to a wrong key waits: a right key passes at once, whatever strangers do, also from
their address.
"""

from __future__ import annotations

import ipaddress

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from shared import logs
from shared.clock import Clock

log = logs.get(__name__)

# So many wrong keys are answered at once; then this many each second, for one address and in all.
BURST, RATE = 20, 4.0
BURST_OF_ALL, RATE_OF_ALL = 100, 20.0
LONGEST_WAIT_S = 10.0
_ADDRESSES = 10_000
_LOG_EVERY_S = 60.0
_LINES = 5  # in each period


class WrongKeys:
    """One per program. ``prefix`` is that of its metrics."""

    def __init__(self, clock: Clock, registry: CollectorRegistry, prefix: str) -> None:
        self._clock = clock
        self._free_at: dict[str, float] = {}  # by address: when its burst is whole again
        self._all_free_at = 0.0
        self._counted = Counter(
            f"{prefix}_wrong_keys_total", "Requests with a wrong key, token or login code", registry=registry
        )
        self._period_ends_at = 0.0
        self._logged: set[str] = set()
        self._unlogged = 0

    async def refuse(self, request: web.Request) -> None:
        """Wait before the request is answered: its key was wrong."""
        address = _network(request.remote or "")
        self._counted.inc()
        self._log(address)
        await self._clock.sleep(self._wait_s(address))

    def _wait_s(self, address: str) -> float:
        now = self._clock.monotonic()
        if len(self._free_at) >= _ADDRESSES:
            self._free_at = {known: at for known, at in self._free_at.items() if at > now}
            while len(self._free_at) >= _ADDRESSES:
                self._free_at.pop(next(iter(self._free_at)))
        own, own_s = _turn(self._free_at.get(address, 0.0), now, BURST, RATE)
        self._all_free_at, all_s = _turn(self._all_free_at, now, BURST_OF_ALL, RATE_OF_ALL)
        self._free_at[address] = own
        return max(own_s, all_s)

    def _log(self, address: str) -> None:
        now = self._clock.monotonic()
        if now >= self._period_ends_at:
            if self._unlogged:
                log.warning("More requests had wrong keys", event_name="keys.wrong", count=self._unlogged)
            self._period_ends_at, self._unlogged = now + _LOG_EVERY_S, 0
            self._logged.clear()
        if address in self._logged or len(self._logged) >= _LINES:
            self._unlogged += 1
            return
        self._logged.add(address)
        log.warning("A request had a wrong key", event_name="keys.wrong", address=address)


WRONG_KEYS: web.AppKey[WrongKeys] = web.AppKey("wrong_keys", WrongKeys)


def _turn(free_at: float, now: float, burst: int, rate: float) -> tuple[float, float]:
    """(when the burst is whole again after one more, the wait before the answer), in s."""
    free_at = max(free_at, now) + 1 / rate
    wait_s = min(max(0.0, free_at - now - burst / rate), LONGEST_WAIT_S)
    # Debt beyond the longest wait would only delay the next honest mistake.
    return min(free_at, now + burst / rate + LONGEST_WAIT_S), wait_s


def _network(address: str) -> str:
    """``address``; of IPv6 the network, because one host has all addresses of it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
