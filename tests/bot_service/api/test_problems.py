"""Codes of refusals: one status each, and words in the dashboard for those that a form can meet."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from sqlalchemy.exc import DBAPIError, OperationalError

from bot_service.api.server.problems import STATUS, refusals
from bot_service.dashboard import wording
from bot_service.domain.refused import Refused, invalid, not_found
from bot_service.engines.port import EngineError
from bot_service.store.batch_writer import UNAVAILABLE
from bot_service.store.errors import is_unfit
from bot_service.store.sessions import StoreUnavailable
from shared.web.errors import Problem
from tests.support.bot_app import running
from tests.support.processes import ROOT

# Refusals that conflict with the present state: 409, without a row in the table.
CONFLICTS = {
    "already_paired",
    "exists",
    "files_unusable",
    "idempotency_key_reused",
    "no_qr",
    "not_paired",
    "sending_frozen",
    "unsupported_by_engine",
}
# Reasons why phones or WhatsApp would ignore what is asked.
CHANGES = {"refused_by_whatsapp", "not_editable", "not_forwardable", "not_revocable", "not_sent", "too_late"}
# No form of the dashboard meets them with words of their own.
ONLY_API = CHANGES | {
    "already_paired",
    "files_unusable",
    "not_paired",
    "media_not_fetched",
    "no_qr",
    "no_space",
    "too_large",
    "too_many_readers",
    "store_unavailable",
    "unsupported_by_engine",
}


def _codes() -> set[str]:
    found = set()
    for path in (ROOT / "bot_service").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "Refused(" in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    found.add(str(code.value))
    return found


def test_every_code_of_a_refusal_has_a_status_and_words() -> None:
    codes = _codes() - {"wrong_state"}
    assert codes >= CONFLICTS
    assert codes - CONFLICTS - CHANGES <= set(STATUS)
    assert codes - ONLY_API <= set(wording.PROBLEM)


@pytest.mark.parametrize(
    ("error", "status", "code", "header"),
    [
        (not_found("this session"), 404, "not_found", None),
        (invalid("to", "must be a number"), 422, "invalid", None),
        (Refused("exists", "taken"), 409, "exists", None),
        (Refused("queue_full", "100 wait"), 429, "queue_full", "30"),
        (EngineError("timelocked", "later"), 409, "timelocked", None),
        (EngineError("worker_lost", "gone"), 502, "worker_lost", None),
        (StoreUnavailable("disk full"), 503, "store_unavailable", "5"),
        (OperationalError("SELECT", {}, Exception("locked")), 503, "store_unavailable", "5"),
        (DBAPIError("SELECT", {}, ValueError("a NUL character")), 422, "invalid", None),
        (ConnectionRefusedError("no PostgreSQL"), 503, "store_unavailable", "5"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_the_status_of(tmp_path: Path, error: Exception, status: int, code: str, header: str | None) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    async with running(tmp_path) as bot:
        request = make_mocked_request("GET", "/", app=bot.app)
        with pytest.raises(Problem) as raised:
            await refusals(UNAVAILABLE, lambda: False, is_unfit)(request, handler)
    assert (raised.value.status, raised.value.code) == (status, code)
    assert raised.value.headers.get("Retry-After") == header


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError()], ids=lambda error: type(error).__name__)
async def test_a_client_that_left_is_no_fault_of_the_store(error: Exception) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    with pytest.raises(type(error)):
        await refusals(UNAVAILABLE, lambda: False, is_unfit)(make_mocked_request("GET", "/"), handler)
