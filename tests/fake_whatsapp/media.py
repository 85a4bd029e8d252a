"""Files of messages: sealed as WhatsApp seals them, kept in memory, uploaded and downloaded through the same proxy as everything."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass

from aiohttp import web

from tests.fake_whatsapp.faults import Faults
from tests.fake_whatsapp.keys import cbc_decrypt, cbc_encrypt, hkdf, mac

HOST = "media-test.cdn.whatsapp.net"
MAC_SIZE = 10
MEDIA_KEYS = {
    "image": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
    "sticker": b"WhatsApp Image Keys",
}


class MediaError(Exception):
    """The file is unknown or its seal is broken."""


@dataclass(frozen=True, slots=True)
class MediaFile:
    """What a message must say about a file so that others can fetch and open it."""

    direct_path: str
    media_key: bytes
    mime_type: str
    plain_sha256: bytes
    sealed_sha256: bytes
    size: int

    @property
    def url(self) -> str:
        return f"https://{HOST}{self.direct_path}"


def seal(kind: str, plain: bytes, media_key: bytes) -> bytes:
    """The bytes that travel: AES-CBC and ten bytes of HMAC."""
    iv, cipher_key, mac_key = _keys(kind, media_key)
    sealed = cbc_encrypt(cipher_key, iv, plain)
    return sealed + mac(mac_key, iv + sealed)[:MAC_SIZE]


def open_sealed(kind: str, sealed: bytes, media_key: bytes) -> bytes:
    """The reverse of `seal`; raises `MediaError` when somebody changed the file."""
    iv, cipher_key, mac_key = _keys(kind, media_key)
    body, tag = sealed[:-MAC_SIZE], sealed[-MAC_SIZE:]
    if mac(mac_key, iv + body)[:MAC_SIZE] != tag:
        raise MediaError("the seal of the file is broken")
    return cbc_decrypt(cipher_key, iv, body)


def _keys(kind: str, media_key: bytes) -> tuple[bytes, bytes, bytes]:
    out = hkdf(media_key, b"", MEDIA_KEYS[kind], 112)
    return out[:16], out[16:48], out[48:80]


class MediaStore:
    """The media host: sealed files by path."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.uploads = 0
        self.downloads = 0
        self._files: dict[str, bytes] = {}

    def put(self, kind: str, plain: bytes, mime_type: str) -> MediaFile:
        """A file that a phone sends."""
        media_key = os.urandom(32)
        sealed = seal(kind, plain, media_key)
        digest = hashlib.sha256(sealed).digest()
        return MediaFile(
            direct_path=self._keep(sealed, digest),
            media_key=media_key,
            mime_type=mime_type,
            plain_sha256=hashlib.sha256(plain).digest(),
            sealed_sha256=digest,
            size=len(plain),
        )

    def read(self, kind: str, direct_path: str, media_key: bytes) -> bytes:
        """A file that somebody sent to a phone; raises `MediaError`."""
        sealed = self._files.get(direct_path.split("?")[0])
        if sealed is None:
            raise MediaError("no such file")
        return open_sealed(kind, sealed, media_key)

    def clear(self) -> None:
        self._files.clear()
        self.uploads = self.downloads = 0

    def add_routes(self, app: web.Application) -> None:
        """Serve uploads and downloads on the TLS application."""
        app.router.add_post("/mms/{kind}/{token}", self._upload)
        app.router.add_get("/v/{name}", self._download)

    def _keep(self, sealed: bytes, digest: bytes) -> str:
        path = f"/v/{base64.urlsafe_b64encode(digest).decode().rstrip('=')}.enc"
        self._files[path] = sealed
        return f"{path}?ccb=11-4&oh=test"

    async def _upload(self, request: web.Request) -> web.Response:
        sealed = await request.read()
        digest = hashlib.sha256(sealed).digest()
        if self.faults.break_media or base64.urlsafe_b64encode(digest).decode() != request.match_info["token"]:
            return web.json_response({"error": "bad upload"}, status=500 if self.faults.break_media else 400)
        self.uploads += 1
        path = self._keep(sealed, digest)
        return web.json_response({"url": f"https://{HOST}{path}", "direct_path": path, "handle": "", "object_id": ""})

    async def _download(self, request: web.Request) -> web.Response:
        sealed = self._files.get(request.path)
        if sealed is None or self.faults.break_media:
            return web.Response(status=500 if self.faults.break_media else 404)
        self.downloads += 1
        return web.Response(body=sealed)
