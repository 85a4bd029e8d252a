"""Reads the verdicts of another watchdog, which has to prove who it is before it gets the token."""

from __future__ import annotations

from typing import TypeVar

import aiohttp

from shared import http_client
from shared.contract.identity import WATCHDOG
from shared.settings import Secret
from watchdog.domain.joint import Verdicts
from watchdog.domain.uptime import Record, Span
from watchdog.probes import reasons
from watchdog.probes.proving import ProvingConnector

PATH = "/api/verdicts"
RECORD_PATH = "/api/record"
TIMEOUT_S = 3.0
BODY_LIMIT = 64 * 1024
RECORD_LIMIT = 1024 * 1024


T = TypeVar("T")


class PeerUnread(Exception):
    """The peer gave no verdicts; the text is a stable code."""


def session(url: str, token: Secret) -> aiohttp.ClientSession:
    """A client of the peer at the base address ``url``, with one connection."""
    connector = ProvingConnector(url, token, program=WATCHDOG, limit=1)
    headers = {"Authorization": f"Bearer {token.reveal()}", "User-Agent": "veilleur-watchdog"}
    return http_client.session(connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), headers=headers)


async def read(http: aiohttp.ClientSession, url: str) -> Verdicts:
    """What the peer says now. Raises :class:`PeerUnread`."""
    return await _read(http, url + PATH, {}, BODY_LIMIT, Verdicts)


async def read_record(http: aiohttp.ClientSession, url: str, target: str, gap: Span) -> Record:
    """What the peer recorded of ``target`` within ``gap``. Raises :class:`PeerUnread`."""
    asked = {"target": target, "from": str(gap.from_ms), "until": str(gap.until_ms)}
    return await _read(http, url + RECORD_PATH, asked, RECORD_LIMIT, Record)


async def _read(http: aiohttp.ClientSession, url: str, query: dict[str, str], limit: int, kind: type[T]) -> T:
    try:
        async with http.get(url, params=query, allow_redirects=False) as answer:
            if answer.status != 200:
                raise PeerUnread(f"http_{answer.status}")
            found: T = http_client.decoded(await http_client.read(answer, limit), kind)
    except http_client.AnswerTooLarge:
        raise PeerUnread("too_much") from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise PeerUnread(reasons.of(error).reason) from None
    except ValueError:
        raise PeerUnread("bad_body") from None
    return found
