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
from shared.network_errors import reason_of
from shared.retry import retry_after_s
from shared.visible import is_blank

ANSWER_LIMIT_BYTES = 64 * 1024
# The receiver is away or overloaded: the status says nothing about the event.
_RECEIVER_DOWN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Attempt:
    """``error`` is None after success. ``down``: the receiver failed, whatever the event."""

    status: int | None
    error: str | None
    down: bool = False
    retry_after_s: float | None = None
    reply: str | None = None


class _Answer(msgspec.Struct):
    reply: str | None = None


async def attempt(
    http: aiohttp.ClientSession, target: Target, event_id: str, body: bytes, *, now: datetime, timeout_s: float
) -> Attempt:
    """Send ``body`` within ``timeout_s`` seconds. Never raises for what the receiver does."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "veilleur"}
    if target.key is not None:
        headers |= webhook_signing.headers(target.key, event_id, int(now.timestamp()), body)
    else:
        headers["webhook-id"] = event_id
    if target.headers is not None:
        headers |= target.headers(event_id, body, now)
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


async def _result(response: aiohttp.ClientResponse, now: datetime) -> Attempt:
    status = response.status
    if _accepted(status):
        return Attempt(status, None, reply=await _reply(response))
    response.close()
    if 300 <= status < 400:
        return Attempt(status, "redirect")
    wait = retry_after_s(response.headers.get("Retry-After"), now) if status in (429, 503) else None
    return Attempt(status, f"http_{status}", down=status in _RECEIVER_DOWN, retry_after_s=wait)


def _accepted(status: int) -> bool:
    return 200 <= status < 300


async def _reply(response: aiohttp.ClientResponse) -> str | None:
    """The text to send back. None when there is none, and when the body cannot be read."""
    try:
        answer = await http_client.read(response, ANSWER_LIMIT_BYTES)
        text: str | None = http_client.decoded(answer, _Answer).reply
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        response.close()
        return None
    return text if text and not is_blank(text) else None


def _connect_error(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error.os_error, RefusedAddress) or "private address" in str(error.os_error):
        return "private_address"
    reason = reason_of(error)
    return reason if reason in ("dns", "tls") else "connect"
