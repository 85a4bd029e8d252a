"""Renders pages in the language and colours of the reader, with strict headers."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from shared.clock import Clock, iso
from shared.translation import languages
from shared.web.browser import cookie
from shared.web.ui.assets import Assets, accepts_gzip
from shared.web.ui.words import NAME, Words, language_of

if TYPE_CHECKING:
    import jinja2

HERE = Path(__file__).parent
THEMES = ("auto", "light", "dark")
_YEAR_S = 365 * 86_400
# A page is packed for each reader: 44 kB take 0.7 ms and become 6 kB.
_GZIP_LEVEL = 5

# No inline script, no inline style, no outside host: injected text cannot run or send anything.
SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Vary": "Accept-Encoding, Accept-Language, Cookie",
}


NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a page with its label."""

    label: str
    value: str


class Pages:
    """The pages of one program: ``folder`` has ``templates/``, ``static/`` and ``locale/``.

    ``installation`` is the name of the installation, empty without one.
    """

    def __init__(self, folder: Path, clock: Clock, installation: str = "") -> None:
        self._folder, self._installation = folder, installation
        self._clock = clock
        self.assets = Assets([HERE / "static", folder / "static"])

    def warm(self) -> None:
        """Compile templates and read translations, so that no first reader blocks the loop."""
        from shared.web.ui.template_environment import compile_all

        languages(self._folder, HERE)
        compile_all(self._environment)

    def words(self, request: web.Request, wanted: str | None = None) -> Words:
        """The reader's language: ``wanted`` where it is offered, then the cookie, then ``Accept-Language``."""
        offered = languages(self._folder, HERE)
        chosen = wanted if wanted in offered else cookie(request, "lang")
        lang = language_of(chosen, request.headers.get("Accept-Language", ""), offered)
        return Words(lang, offered[lang])

    def render(
        self,
        request: web.Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] = NO_HEADERS,
        **context: Any,
    ) -> web.Response:
        """The page ``template`` with ``context`` and the names that every page has.

        ``headers`` replace or add to those of every page.
        """
        words = self.words(request)
        theme = cookie(request, "theme")
        text = self._environment.get_template(template).render(
            t=words,
            lang=words.lang,
            languages={tag: each.gettext(NAME) for tag, each in languages(self._folder, HERE).items()},
            theme=theme if theme in THEMES else "auto",
            now=self._clock.now(),
            iso=iso,
            asset=self.assets.url,
            path=request.path,
            installation=self._installation,
            **context,
        )
        body, packed = text.encode(), accepts_gzip(request)
        return web.Response(
            body=gzip.compress(body, _GZIP_LEVEL) if packed else body,
            status=status,
            content_type="text/html",
            charset="utf-8",
            headers={**HEADERS, **headers} | ({hdrs.CONTENT_ENCODING: "gzip"} if packed else {}),
        )

    def choice(self, request: web.Request) -> web.Response | None:
        """A redirect that stores ``?lang=fr`` or ``?theme=dark`` in a cookie; None without them."""
        for name, allowed in (("lang", languages(self._folder, HERE)), ("theme", THEMES)):
            wanted = request.query.get(name)
            if wanted is not None and wanted in allowed:
                rest = [(key, value) for key, value in request.query.items() if key not in ("lang", "theme")]
                # A relative address: the redirect cannot lead to another host.
                target = request.rel_url.with_query(rest).raw_path_qs.lstrip("/")
                response = web.Response(status=303, headers={"Location": f"/{target}"})
                response.set_cookie(name, wanted, max_age=_YEAR_S, samesite="Lax", httponly=True, path="/")
                return response
        return None

    @cached_property
    def _environment(self) -> jinja2.Environment:
        # Imported with the first page: the watchdog stays small without a reader.
        from shared.web.ui.template_environment import template_environment

        return template_environment(self._folder)
