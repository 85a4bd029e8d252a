"""Fetches files that callers name by address, under the same rules as webhooks."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import aiohttp

from bot_service.access import public_addresses
from bot_service.domain.file_labels import LONGEST_NAME, UNKNOWN_TYPE, is_mime_type, safe_file_name
from bot_service.domain.refused import Refused, invalid
from shared import http_client

FETCH_S = 30.0
AT_ONCE = 8
_FILE_NAME = re.compile(r'filename="?([^";]{1,200})')


@dataclass(frozen=True, slots=True)
class Fetched:
    """``mime_type`` and ``file_name`` as the server gives them, made safe."""

    content: bytes
    mime_type: str
    file_name: str | None


class MediaFetcher:
    """One per service. A file has ``FETCH_S`` seconds; redirects are followed, and checked too."""

    def __init__(self, *, allow_private: bool, limit_bytes: int) -> None:
        self._allow_private, self._limit_bytes = allow_private, limit_bytes
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, url: str) -> Fetched:
        """Refused: ``invalid``, ``too_large``, ``media_not_fetched``."""
        if not public_addresses.is_reachable_url(url) or urlsplit(url).username is not None:
            raise invalid("media.url", "must be an http or https address without a user")
        try:
            async with self._slots, asyncio.timeout(FETCH_S):
                return await self._fetch(url)
        except http_client.AnswerTooLarge:
            raise Refused("too_large", f"the file may hold at most {self._limit_bytes} bytes") from None
        except public_addresses.RefusedAddress:
            raise invalid("media.url", "must be a public address") from None
        except TimeoutError:
            raise Refused("media_not_fetched", f"the file did not come within {FETCH_S:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, public_addresses.RefusedAddress):
                raise invalid("media.url", "must be a public address") from None
            raise Refused("media_not_fetched", f"the file cannot be fetched: {type(error).__name__}") from None

    async def _fetch(self, url: str) -> Fetched:
        # A pool for each file: no connection is kept, and nothing of one caller reaches another.
        pool = public_addresses.connector(allow_private=self._allow_private, limit=1)
        timeout = aiohttp.ClientTimeout(total=FETCH_S)
        async with (
            http_client.session(pool, timeout=timeout) as http,
            http_client.get_with_redirects(http, url, timeout) as answer,
        ):
            if answer.status != 200:
                raise Refused("media_not_fetched", f"the server of the file answered with {answer.status}")
            if (answer.content_length or 0) > self._limit_bytes:
                raise http_client.AnswerTooLarge
            content = await http_client.read(answer, self._limit_bytes)
            return Fetched(content, _mime_type(answer, url), _file_name(answer, url))


def _mime_type(answer: aiohttp.ClientResponse, url: str) -> str:
    given = answer.headers.get("Content-Type", "").strip()
    if is_mime_type(given) and given != UNKNOWN_TYPE:
        return given
    return mimetypes.guess_type(urlsplit(url).path)[0] or UNKNOWN_TYPE


def _file_name(answer: aiohttp.ClientResponse, url: str) -> str | None:
    found = _FILE_NAME.search(answer.headers.get("Content-Disposition", "")[:1000])
    name = found[1] if found else unquote(urlsplit(url).path.rpartition("/")[2], errors="replace")
    return safe_file_name(name[:LONGEST_NAME])
