"""What a status page looks like to customers: title, logo, accent colour, and its own address."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import hdrs, web

from shared.web.ui.pages import SECURITY_POLICY
from watchdog.settings import WatchdogSettings
from watchdog.status import accent

STYLE = "/brand.css"


@dataclass(frozen=True, slots=True)
class Brand:
    """``logo`` and ``style`` (the address of the sheet with the accent colour) may be empty."""

    title: str
    logo: str
    sheet: str
    style: str
    page: str

    @classmethod
    def of(cls, settings: WatchdogSettings) -> Brand:
        sheet = accent.style_sheet(settings.status_page_accent) if settings.status_page_accent else ""
        digest = hashlib.sha256(sheet.encode()).hexdigest()[:12]
        style = f"{STYLE}?{digest}" if sheet else ""
        return cls(settings.page_title, settings.status_page_logo or "", sheet, style, settings.status_page_url or "")

    def headers(self, *, frames: str = "'none'") -> Mapping[str, str]:
        """The policy of the pages, with the one foreign picture; ``frames``: who may embed the page."""
        policy = SECURITY_POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {frames}")
        if self.logo:
            policy = policy.replace("img-src 'self'", f"img-src 'self' {self.logo}")
        return {"Content-Security-Policy": policy}

    def address(self, request: web.Request) -> str:
        """The page's own address without a slash at its end, for readers of the feed."""
        if self.page:
            return self.page
        scheme = request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip() or request.scheme
        return f"{'https' if scheme == 'https' else 'http'}://{request.host}"

    async def serve(self, _request: web.Request) -> web.StreamResponse:
        """``GET /brand.css``; the address in the pages changes with the colour."""
        headers = {hdrs.CACHE_CONTROL: "public, max-age=3600"}
        return web.Response(text=self.sheet, content_type="text/css", headers=headers)
