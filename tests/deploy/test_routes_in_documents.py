"""Every route that a page of the project names is served."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest

from bot_service.app import build_app
from bot_service.domain.ports import EnginePool
from bot_service.settings import BotSettings
from shared.settings import load
from tests.support.processes import ROOT

# watchdog.md describes the watchdog's routes, which its own tests hold.
PAGES = sorted([ROOT / "README.md", *(path for path in (ROOT / "docs").glob("*.md") if path.stem != "watchdog")])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder: Path = tmp_path_factory.mktemp("routes")
    app = build_app(load(BotSettings, {"DATA_DIR": str(folder), "ENGINE": "simulator"}), pool=cast(EnginePool, None))
    return {_plain(route.resource.canonical) for route in app.router.routes() if route.resource is not None}


def _plain(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "x", path)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_route_that_a_page_names_is_served(page: Path, served: set[str]) -> None:
    text = page.read_text(encoding="utf-8")
    named = {_plain(path.rstrip("/.,")) for path in re.findall(r"(?:GET|POST|PATCH|DELETE) (/api/[\w/{}-]+)", text)}
    assert named - served == set()
