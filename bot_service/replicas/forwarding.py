"""Passes a request on to the replica that owns its session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bot_service.access.replica_hops import HOP_HEADER, HopMarks
from bot_service.domain.session_record import CommandKind
from bot_service.replicas.members import Members
from shared import http_client, logs
from shared.settings import Secret

log = logs.get(__name__)

CONNECT_S, ANSWER_S = 2.0, 60.0
# How often a request that waits asks whether the replica still owns the session.
LOOK_S = 1.0
# Of one that concerns many sessions.
COMMANDS_AT_ONCE = 10
# A file of a message, and some more.
ANSWER_BYTES = 40 * 1024 * 1024
# What belongs to one connection, and what this program sets itself.
_NOT_PASSED_ON = frozenset(
    {
        hdrs.CONNECTION, hdrs.KEEP_ALIVE, hdrs.TRAILER, hdrs.TRANSFER_ENCODING, hdrs.UPGRADE, hdrs.EXPECT,
        hdrs.CONTENT_LENGTH, hdrs.DATE, hdrs.SERVER, "Proxy-Connection", HOP_HEADER,
    }
)  # fmt: skip
_LEFT_OUT = frozenset(name.lower() for name in _NOT_PASSED_ON)


class OwnerUnreachable(Exception):
    """No replica owns the session at the moment, or its owner does not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of the owner, without what belongs to its connection."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


class Forwarding:
    """``marks`` tell a request that was passed on from one of a caller."""

    def __init__(self, http: aiohttp.ClientSession, members: Members, administrator: Secret) -> None:
        self._http, self._members, self._administrator = http, members, administrator
        self.marks = HopMarks(administrator)
        self._at_once = asyncio.Semaphore(COMMANDS_AT_ONCE)

    async def command(self, session: str, kind: CommandKind) -> bool:
        """START, STOP or RESTART for a caller of this replica, who was checked here. False when it is refused."""
        path = f"/api/sessions/{quote(session, safe='')}/{kind.value}"
        key = CIMultiDict({hdrs.AUTHORIZATION: f"Bearer {self._administrator.reveal()}"})
        async with self._at_once:
            try:
                answer = await self(session, "POST", path, CIMultiDictProxy(key), b"")
            except OwnerUnreachable:
                return False
        return answer.status < 300

    async def __call__(
        self, session: str, method: str, path: str, headers: CIMultiDictProxy[str], body: bytes
    ) -> Answer:
        """What the owner of ``session`` answers. Raises :class:`OwnerUnreachable`."""
        owner = self._members.owner_of(session)
        if owner is None:
            raise OwnerUnreachable("no replica owns this session at the moment")
        passed = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _LEFT_OUT)
        passed[HOP_HEADER] = self.marks.make(method, path)
        asking = asyncio.create_task(self._ask(method, owner.url + path, passed, body))
        try:
            while not (await asyncio.wait({asking}, timeout=LOOK_S))[0]:
                if (
                    self._members.holder_of(session) != owner.id
                    and not (await asyncio.wait({asking}, timeout=LOOK_S))[0]
                ):
                    # It lost its lease, for example because it does not reach the store: it may never answer.
                    raise OwnerUnreachable("this session has changed its replica")
            answer = asking.result()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning(
                "The owner of a session does not answer",
                event_name="replica.unreachable",
                session=session,
                replica=owner.id,
                error=type(error).__name__,
            )
            raise OwnerUnreachable("the replica that owns this session does not answer") from error
        finally:
            asking.cancel()
        return answer

    async def _ask(self, method: str, url: str, headers: CIMultiDict[str], body: bytes) -> Answer:
        async with self._http.request(
            method, URL(url, encoded=True), headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            content = await http_client.read(answer, ANSWER_BYTES)
        back = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in _LEFT_OUT)
        return Answer(answer.status, back, content)


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP client of all passed requests."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S, connect=CONNECT_S, sock_connect=CONNECT_S)
    async with http_client.session(http_client.Connector(limit=200), timeout=timeout) as http:
        yield http
