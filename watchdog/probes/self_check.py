"""Decides at the moment of a failure on which side the fault is: target or watchdog."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable

import aiohttp
import msgspec

from shared import http_client
from watchdog.domain.outcome import Outcome
from watchdog.probes.reasons import Failure, Proof

OWN_PORT_TIMEOUT_S = 1.0
CANARY_TIMEOUT_S = 3.0
_NEAR_SUFFIXES = (".internal", ".local", ".localhost")


class SelfCheckResult(msgspec.Struct, frozen=True):
    """The outcome, with the failure's reason or the watchdog's own fault."""

    outcome: Outcome
    reason: str


def is_near(host: str) -> bool:
    """Whether ``host`` is local or private, where canaries outside prove nothing."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "." not in host or host.endswith(_NEAR_SUFFIXES)
    return address.is_private or address.is_loopback or address.is_link_local


class SelfCheck:
    """``own_port`` is this program's listening port, None without one.

    ``worst_stall_s(since)`` is the longest stall of the event loop since a monotonic moment.
    """

    def __init__(
        self,
        *,
        near: bool,
        canaries: tuple[str, ...],
        own_port: int | None,
        worst_stall_s: Callable[[float], float],
        own_host: str = "127.0.0.1",
    ) -> None:
        self._near, self._canaries, self._own_port = near, canaries, own_port
        self._worst_stall_s, self._own_host = worst_stall_s, own_host

    async def assess(self, failure: Failure, *, started: float, timeout_s: float) -> SelfCheckResult:
        """The side of ``failure``; ``started`` is the ping's monotonic start. Takes a few seconds
        at most.
        """
        if failure.proof is Proof.SELF:
            return SelfCheckResult(Outcome.SELF_FAIL, failure.reason)
        if failure.reason == "timeout" and self._worst_stall_s(started) > 0.2 * timeout_s:
            return SelfCheckResult(Outcome.SELF_FAIL, "loop_stall")
        if not await self._reaches_own_port():
            return SelfCheckResult(Outcome.SELF_FAIL, "own_port")
        if failure.proof is Proof.TARGET:
            return SelfCheckResult(Outcome.TARGET_FAIL, failure.reason)
        if self._near:
            return self._without_network(failure)
        if not self._canaries:
            return self._without_canaries(failure)
        if await self._reaches_a_canary():
            return SelfCheckResult(Outcome.TARGET_FAIL, failure.reason)
        return SelfCheckResult(Outcome.SELF_FAIL, "no_canary")

    def _without_network(self, failure: Failure) -> SelfCheckResult:
        # A missing name or neighbour of a private network is a container that is gone: the own
        # port has just answered.
        if failure.reason.startswith("error_"):
            return SelfCheckResult(Outcome.UNKNOWN, failure.reason)
        return SelfCheckResult(Outcome.TARGET_FAIL, failure.reason)

    def _without_canaries(self, failure: Failure) -> SelfCheckResult:
        if failure.reason in ("dns_unavailable", "no_route"):
            return SelfCheckResult(Outcome.SELF_FAIL, failure.reason)
        if failure.reason.startswith("error_"):
            return SelfCheckResult(Outcome.UNKNOWN, failure.reason)
        return SelfCheckResult(Outcome.TARGET_FAIL, failure.reason)

    async def _reaches_own_port(self) -> bool:
        if self._own_port is None:
            return True
        try:
            async with asyncio.timeout(OWN_PORT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(self._own_host, self._own_port)
        except (OSError, TimeoutError):
            return False
        writer.transport.abort()
        return True

    async def _reaches_a_canary(self) -> bool:
        """Any answer, of any status, proves that the network works."""
        timeout = aiohttp.ClientTimeout(total=CANARY_TIMEOUT_S)
        connector = http_client.Connector(force_close=True, family=socket.AF_UNSPEC)
        async with http_client.session(connector, timeout=timeout) as session:
            asked = {asyncio.create_task(_answers(session, url), name="canary") for url in self._canaries}
            try:
                for done in asyncio.as_completed(asked):
                    if await done:
                        return True
                return False
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, allow_redirects=False):
            return True
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
