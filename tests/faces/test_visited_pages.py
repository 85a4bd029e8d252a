"""Every page of both programs is among those that a real Chromium looks at: axe in light and dark, 390 pixels."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

from bot_service.dashboard import routes
from shared.settings import load
from tests.faces import test_browser, test_operator_browser, test_webhook_browser
from tests.support.bot_app import running
from watchdog.app import build_app
from watchdog.ledger.sqlite import open_ledger
from watchdog.settings import WatchdogSettings

# No pages of their own.
NO_PAGES = {
    "/events": "a stream",
    "/docs/files/{name}": "files of Swagger UI",
    "/static/{digest}/{name}": "style sheets and scripts",
    "/sessions/{id}/messages/{messageId}/file": "a file",
    "/brand/{digest}.css": "a style sheet",
}
# Where the tests have the address in their code.
BY_HAND = {
    "/login": test_browser.test_every_page_is_clean_in_light_and_dark_for_every_reader,
    "/docs": test_browser.test_the_api_page_shows_every_operation_and_breaks_no_policy,
    "/webhooks/{webhookId}": test_webhook_browser.test_the_pages_are_clean_in_light_and_dark_and_fit_a_telephone,
    "/deliveries/{webhookId}/{eventId}": test_webhook_browser.test_the_pages_are_clean_in_light_and_dark_and_fit_a_telephone,
}


def _pages(patterns: set[str]) -> set[str]:
    return {each for each in patterns if each not in NO_PAGES}


async def test_every_page_of_the_dashboard_is_looked_at(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        patterns = {
            each.path for each in routes.table(bot.app) if isinstance(each, web.RouteDef) and each.method == "GET"
        }
    visited = {
        pattern
        for pattern in patterns
        for path in test_browser.PAGES
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path)
    }
    assert _pages(patterns) - visited - BY_HAND.keys() == set()


def test_every_page_of_the_watchdog_is_looked_at(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "watchdog.db")
    try:
        app = build_app(load(WatchdogSettings, {"DATA_DIR": str(tmp_path), "BOT_URL": "http://127.0.0.1:1"}), ledger)
    finally:
        ledger.close()
    served = {
        each.resource.canonical for each in app.router.routes() if each.resource is not None and each.method == "GET"
    }
    code = Path(test_operator_browser.__file__).read_text(encoding="utf-8")
    machines = {"/health", "/livez", "/metrics", "/badge.svg", "/feed.atom"}
    pages = {
        path for path in _pages(served)
        if path not in machines and not path.startswith(("/api/", "/operator/", "/static/")) and not path.endswith(".css")
    }  # fmt: skip
    assert {path for path in pages if f'await clean(seen, dog, "{path}"' not in code} == set()
