"""Reads the verdicts of another watchdog, which has to prove who it is before it gets the token."""

from __future__ import annotations

import aiohttp

from shared import http_client
from shared.contract.identity import WATCHDOG
from shared.settings import Secret
from watchdog.domain.joint import Verdicts
from watchdog.probes import reasons
from watchdog.probes.proving import ProvingConnector

PATH = "/api/verdicts"
TIMEOUT_S = 3.0
BODY_LIMIT = 64 * 1024


class PeerUnread(Exception):
    """The peer gave no verdicts; the text is a stable code."""


def session(url: str, token: Secret) -> aiohttp.ClientSession:
    """A client of the peer at the base address ``url``, with one connection."""
    connector = ProvingConnector(url, token, program=WATCHDOG, limit=1)
    headers = {"Authorization": f"Bearer {token.reveal()}", "User-Agent": "veilleur-watchdog"}
    return http_client.session(connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), headers=headers)


async def read(http: aiohttp.ClientSession, url: str) -> Verdicts:
    """What the peer says now. Raises :class:`PeerUnread`."""
    try:
        async with http.get(url + PATH, allow_redirects=False) as answer:
            if answer.status != 200:
                raise PeerUnread(f"http_{answer.status}")
            verdicts: Verdicts = http_client.decoded(await http_client.read(answer, BODY_LIMIT), Verdicts)
    except http_client.AnswerTooLarge:
        raise PeerUnread("too_much") from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise PeerUnread(reasons.of(error).reason) from None
    except ValueError:
        raise PeerUnread("bad_body") from None
    return verdicts
