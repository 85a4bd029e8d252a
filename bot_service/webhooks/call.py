"""One attempt at a webhook: a signed POST, limited in time and size, without redirects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import aiohttp
import msgspec

from bot_service.events.subscriptions import Target
from bot_service.webhooks.addresses import RefusedAddress
from shared import webhook_signing
from shared.network_errors import reason_of
from shared.retry import retry_after_s

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
    try:
        async with http.post(
            target.url,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 5.0)),
        ) as response:
            return await _result(response, now)
    except TimeoutError:
        return Attempt(None, "timeout", down=True)
    except aiohttp.ClientConnectorError as error:
        return Attempt(None, _connect_error(error), down=True)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Attempt(None, f"no_answer: {type(error).__name__}", down=True)


async def _result(response: aiohttp.ClientResponse, now: datetime) -> Attempt:
    status = response.status
    if 200 <= status < 300:
        answer = await response.content.read(ANSWER_LIMIT_BYTES + 1) if response.content_length != 0 else b""
        while len(answer) <= ANSWER_LIMIT_BYTES and not response.content.at_eof():
            answer += await response.content.read(ANSWER_LIMIT_BYTES + 1 - len(answer))
        if len(answer) > ANSWER_LIMIT_BYTES:
            # Delivered. The rest of the answer is not read: the connection is dropped.
            response.close()
            return Attempt(status, None)
        return Attempt(status, None, reply=_reply(answer))
    response.close()
    if 300 <= status < 400:
        return Attempt(status, "redirect")
    wait = retry_after_s(response.headers.get("Retry-After"), now) if status in (429, 503) else None
    return Attempt(status, f"http_{status}", down=status in _RECEIVER_DOWN, retry_after_s=wait)


def _reply(answer: bytes) -> str | None:
    try:
        text = msgspec.json.decode(answer, type=_Answer).reply
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return text or None


def _connect_error(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error.os_error, RefusedAddress) or "private address" in str(error.os_error):
        return "private_address"
    reason = reason_of(error)
    return reason if reason in ("dns", "tls") else "connect"
