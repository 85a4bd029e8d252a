"""One attempt at a webhook: a signed POST, limited in time and size, without redirects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

import aiohttp
import msgspec

from bot_service.access.public_addresses import RefusedAddress
from bot_service.events.subscriptions import Target
from shared import http_client, webhook_signing
from shared.clock import to_ms
from shared.network_errors import reason_of
from shared.retry import retry_after_s
from shared.visible import is_blank, shown

ANSWER_LIMIT_BYTES = 64 * 1024
# The beginning of an answer, kept for people. A refusal is not waited for longer than this.
EXCERPT_CHARS = 500
_EXCERPT_WITHIN_S = 1.0
# The receiver is away or overloaded: the status says nothing about the event.
_RECEIVER_DOWN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Attempt:
    """``error`` is None after success. ``down``: the receiver failed, whatever the event.

    ``answer`` is the beginning of the body that came back.
    """

    status: int | None
    error: str | None
    down: bool = False
    retry_after_s: float | None = None
    reply: str | None = None
    answer: str | None = None


class _Answer(msgspec.Struct):
    reply: str | None = None


async def attempt(
    http: aiohttp.ClientSession, target: Target, event_id: str, body: bytes, *, now: datetime, timeout_s: float
) -> Attempt:
    """Send ``body`` within ``timeout_s`` seconds. Never raises for what the receiver does."""
    headers = headers_of(target, event_id, body, now)
    limits = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 5.0))
    try:
        async with (
            asyncio.timeout(timeout_s + 1.0),
            http.post(target.url, data=body, headers=headers, allow_redirects=False, timeout=limits) as response,
        ):
            return await _result(response, now)
    except http_client.UnfinishedHead as error:
        # The receiver has accepted the event, whatever follows its status.
        return Attempt(error.status, None) if _accepted(error.status) else Attempt(None, "no_answer: head", down=True)
    except TimeoutError:
        return Attempt(None, "timeout", down=True)
    except aiohttp.ClientConnectorError as error:
        return Attempt(None, _connect_error(error), down=True)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Attempt(None, f"no_answer: {type(error).__name__}", down=True)


def headers_of(target: Target, event_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """All headers of an attempt at ``now`` that this service chooses, with secrets."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "veilleur"}
    headers |= target.own_headers
    if target.key is not None:
        older = (target.old_key,) if target.old_key is not None and to_ms(now) < target.old_until_ms else ()
        headers |= webhook_signing.headers(target.key, event_id, int(now.timestamp()), body, *older)
    else:
        headers["webhook-id"] = event_id
    return headers if target.headers is None else headers | target.headers(event_id, body, now)


async def _result(response: aiohttp.ClientResponse, now: datetime) -> Attempt:
    status = response.status
    if _accepted(status):
        body = await _body(response)
        return Attempt(status, None, reply=_reply(body), answer=_excerpt(body))
    answer = _excerpt(await _beginning(response))
    response.close()
    if 300 <= status < 400:
        return Attempt(status, "redirect", answer=answer)
    wait = retry_after_s(response.headers.get("Retry-After"), now) if status in (429, 503) else None
    return Attempt(status, f"http_{status}", down=status in _RECEIVER_DOWN, retry_after_s=wait, answer=answer)


def _accepted(status: int) -> bool:
    return 200 <= status < 300


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body of an accepted event; empty when it cannot be read, or is too large to be a reply."""
    try:
        return await http_client.read(response, ANSWER_LIMIT_BYTES)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        response.close()
        return b""


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first piece of the body of a refusal, when it comes soon."""
    try:
        async with asyncio.timeout(_EXCERPT_WITHIN_S):
            return await response.content.read(4 * EXCERPT_CHARS)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return b""


def _reply(body: bytes) -> str | None:
    """The text to send back. None when there is none."""
    try:
        text: str | None = http_client.decoded(body, _Answer).reply
    except ValueError:
        return None
    return text if text and not is_blank(text) else None


def _excerpt(body: bytes) -> str | None:
    """The beginning of ``body`` as text that is safe to show; None for nothing."""
    text = body[: 4 * EXCERPT_CHARS].decode(errors="replace")[:EXCERPT_CHARS].strip()
    return shown(text, keep="\n") or None


def _connect_error(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error.os_error, RefusedAddress) or "private address" in str(error.os_error):
        return "private_address"
    reason = reason_of(error)
    return reason if reason in ("dns", "tls") else "connect"
