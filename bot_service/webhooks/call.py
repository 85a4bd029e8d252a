"""One attempt at one webhook: a signed POST with limits on time and size, never a redirect, never a hidden address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

from bot_service.events.subscriptions import Target
from bot_service.webhooks import signing
from bot_service.webhooks.addresses import RefusedAddress

ANSWER_LIMIT_BYTES = 64 * 1024
_RETRY_AFTER_CAP_S = 3600.0
# The receiver itself is not there or is overloaded: its answer says nothing about this one event.
_RECEIVER_DOWN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of it. ``error`` is None after success; ``down`` says that the receiver, not the event, is the trouble."""

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
    """Never raises for what the receiver does. Total time is at most ``timeout_s`` seconds, the answer's included."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "veilleur"}
    if target.key is not None:
        headers |= signing.headers(target.key, event_id, int(now.timestamp()), body)
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
            return await _judged(response, now)
    except TimeoutError:
        return Attempt(None, "timeout", down=True)
    except aiohttp.ClientConnectorError as error:
        return Attempt(None, _connect_error(error), down=True)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Attempt(None, f"no_answer: {type(error).__name__}", down=True)


async def _judged(response: aiohttp.ClientResponse, now: datetime) -> Attempt:
    status = response.status
    if 200 <= status < 300:
        answer = await response.content.read(ANSWER_LIMIT_BYTES + 1) if response.content_length != 0 else b""
        while len(answer) <= ANSWER_LIMIT_BYTES and not response.content.at_eof():
            answer += await response.content.read(ANSWER_LIMIT_BYTES + 1 - len(answer))
        if len(answer) > ANSWER_LIMIT_BYTES:
            # Delivered, but nobody reads a book: the connection is dropped with the rest of it.
            response.close()
            return Attempt(status, None)
        return Attempt(status, None, reply=_reply(answer))
    response.close()
    if 300 <= status < 400:
        return Attempt(status, "redirect")
    wait = _retry_after_s(response.headers.get("Retry-After"), now) if status in (429, 503) else None
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
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "tls"
    return "connect"


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that the receiver asks to wait, by number or by date, at most an hour."""
    if not value:
        return None
    try:
        wait = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        wait = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(wait, 0.0), _RETRY_AFTER_CAP_S) if wait == wait else None
