"""Files of messages as downloads, which end with the key that asked for them."""

from __future__ import annotations

from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from bot_service.access.open_requests import OpenRequests
from bot_service.access.principals import Principal
from bot_service.domain.file_labels import as_attachment, safe_mime_type
from bot_service.domain.message import Media


class Download(web.FileResponse):
    """The file ``media`` at ``path``: a browser must not show it as a page of this service."""

    def __init__(self, media: Media, path: Path, requests: OpenRequests, who: Principal) -> None:
        headers = {
            hdrs.CONTENT_TYPE: safe_mime_type(media.mime_type),
            hdrs.CONTENT_DISPOSITION: as_attachment(media.file_name or ""),
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        super().__init__(path, headers=headers)
        self._requests, self._who = requests, who

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        async with self._requests.until_ended(self._who):
            return await super().prepare(request)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the key ended")
