"""Files of messages in a bucket of an S3-compatible server, by the optional package obstore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.settings import Fault, SettingsError

# Of one request; an upload of a large file has several.
REQUEST_S, CONNECT_S = 30, 5
# The least that a part of an upload may have.
UPLOAD_PART_BYTES = 5 * 1024 * 1024


class S3Objects:
    """Implements :class:`bot_service.messages.shared_media.ObjectStore`. ``url``: see MEDIA_URL."""

    def __init__(self, url: str) -> None:
        """Raises ``SettingsError`` without the package, or for an address that it refuses."""
        try:
            from obstore.store import S3Store
        except ImportError:
            raise _fault("the package obstore is not installed (docs/replicas.md)") from None
        try:
            self._store = S3Store(**_arguments(url))
        except Exception as error:  # the library has no common class for a wrong configuration
            raise _fault(f"it cannot be used: {type(error).__name__}") from error

    async def put(self, key: str, parts: AsyncIterator[bytes]) -> None:
        with _errors():
            await self._store.put_async(
                _name(key), parts, use_multipart=True, chunk_size=UPLOAD_PART_BYTES, max_concurrency=2
            )

    async def read(self, key: str, start: int, stop: int) -> bytes:
        with _errors():
            return bytes(await self._store.get_range_async(_name(key), start=start, end=stop))

    async def delete(self, key: str) -> None:
        try:
            with _errors():
                await self._store.delete_async(_name(key))
        except FileNotFoundError:
            pass


class _errors:
    """Errors of the library as ``OSError``, without addresses and credentials, which its texts may hold."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from obstore.exceptions import BaseError

        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(2, "no such object") from error
        if isinstance(error, (BaseError, OSError)):
            raise ConnectionError(f"the object store refuses or does not answer: {type(error).__name__}") from error


def _arguments(url: str) -> dict[str, Any]:
    """What the address leaves out, the package finds where its users expect it: AWS_* variables, the machine's role."""
    parts = urlsplit(url)
    given: dict[str, Any] = dict(parse_qsl(parts.query))
    if parts.username is not None:
        given["access_key_id"], given["secret_access_key"] = unquote(parts.username), unquote(parts.password or "")
    if parts.path.strip("/"):
        given["prefix"] = parts.path.strip("/")
    http = str(given.get("endpoint", "")).startswith("http://")
    options = {"timeout": timedelta(seconds=REQUEST_S), "connect_timeout": timedelta(seconds=CONNECT_S)}
    return {
        "bucket": parts.hostname,
        "client_options": {**options, "allow_http": http},
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=REQUEST_S)},
        **given,
    }


def _name(key: str) -> str:
    # The library gives percent signs a meaning of their own; keys have no equals signs.
    return key.replace("%", "=")


def _fault(why: str) -> SettingsError:
    return SettingsError([Fault("MEDIA_URL", None, "s3://bucket of an object store that can be used", why)])
