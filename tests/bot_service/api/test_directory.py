"""Numbers, pictures and groups over the API: what is asked of the engine, and what a caller gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot_service.domain import directory as ask
from bot_service.engines.port import EngineError
from tests.support.bot_app import Bot, paired, running

ONE = "/api/sessions/one"
ANN = "33612345678@s.whatsapp.net"
GROUP = ask.Group(
    "120363041234567890@g.us", "Orders", "é", ANN, 1_800_000_000_000, True, False, (ask.GroupMember(ANN, True),)
)
VIEW = {
    "id": GROUP.id,
    "subject": "Orders",
    "description": "é",
    "owner": ANN,
    "created": "2027-01-15T08:00:00.000Z",
    "announce": True,
    "locked": False,
    "members": [{"jid": ANN, "admin": True}],
}


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path) as started:
        await paired(started, "one")
        yield started


@pytest.mark.parametrize(
    ("method", "path", "body", "question", "answer", "status", "view"),
    [
        (
            "POST",
            "/numbers",
            {"numbers": ["+33 6 12 34 56 78", "0049151"]},
            ask.CheckNumbers(["33612345678", "49151"]),
            [],
            422,
            None,
        ),
        (
            "POST",
            "/numbers",
            {"numbers": ["+33 6 12 34 56 78"]},
            ask.CheckNumbers(["33612345678"]),
            [ask.NumberCheck("33612345678", True, ANN, "9@lid")],
            200,
            {"numbers": [{"number": "33612345678", "exists": True, "jid": ANN, "lid": "9@lid"}]},
        ),
        ("GET", "/picture?chat=33612345678", None, ask.GetPicture(ANN), None, 404, None),
        (
            "GET",
            "/picture?chat=33612345678&preview=true",
            None,
            ask.GetPicture(ANN, True),
            ask.Picture("https://pps.example/x", "7"),
            200,
            {"url": "https://pps.example/x", "id": "7"},
        ),
        ("GET", "/groups", None, ask.ListGroups(), [GROUP], 200, {"groups": [VIEW]}),
        ("GET", f"/groups/{GROUP.id}", None, ask.GetGroup(GROUP.id), GROUP, 200, VIEW),
        ("GET", "/groups/120363041234567890", None, ask.GetGroup(GROUP.id), GROUP, 200, VIEW),
        (
            "POST",
            "/groups",
            {"subject": "Orders", "members": ["33612345678"]},
            ask.CreateGroup("Orders", [ANN]),
            GROUP,
            201,
            VIEW,
        ),
        (
            "PATCH",
            f"/groups/{GROUP.id}",
            {"announce": False},
            ask.ChangeGroup(GROUP.id, announce=False),
            GROUP,
            200,
            VIEW,
        ),
        (
            "POST",
            f"/groups/{GROUP.id}/members",
            {"action": "promote", "members": ["33612345678"]},
            ask.ChangeMembers(GROUP.id, "promote", [ANN]),
            [ask.GroupMember(ANN, error=403)],
            200,
            {"members": [{"jid": ANN, "error": 403}]},
        ),
        (
            "GET",
            f"/groups/{GROUP.id}/invite",
            None,
            ask.InviteLink(GROUP.id),
            "https://chat.whatsapp.com/a",
            200,
            {"link": "https://chat.whatsapp.com/a"},
        ),
        ("DELETE", f"/groups/{GROUP.id}/invite", None, ask.InviteLink(GROUP.id, True), "x", 200, {"link": "x"}),
        (
            "POST",
            "/groups/join",
            {"code": "https://chat.whatsapp.com/AbC"},
            ask.JoinGroup("AbC"),
            GROUP.id,
            200,
            {"group": GROUP.id},
        ),
        ("DELETE", f"/groups/{GROUP.id}", None, ask.LeaveGroup(GROUP.id), None, 204, ""),
    ],
)
async def test_each_question_reaches_the_engine_and_its_answer_the_caller(
    bot: Bot, method: str, path: str, body: Any, question: ask.Question, answer: Any, status: int, view: Any
) -> None:
    bot.pool.answers[type(question)] = answer
    found = await bot.call(method, ONE + path, body)
    assert found[0] == status, found
    assert bot.pool.asked == ([("one", question)] if status != 422 else [])
    if view is not None:
        assert found[1] == view


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/numbers", {"numbers": []}, "numbers"),
        ("POST", "/numbers", {"numbers": ["33612345678"] * 51}, "numbers"),
        ("GET", "/picture", None, "chat"),
        ("GET", "/groups/33612345678@s.whatsapp.net", None, "group"),
        ("GET", "/groups/abc", None, "group"),
        ("PATCH", f"/groups/{GROUP.id}", {}, "subject"),
        ("PATCH", f"/groups/{GROUP.id}", {"subject": ""}, "subject"),
        ("POST", f"/groups/{GROUP.id}/members", {"action": "add", "members": ["0612345678"]}, "members"),
        ("POST", f"/groups/{GROUP.id}/members", {"action": "ban", "members": ["33612345678"]}, "action"),
        ("POST", "/groups/join", {"code": "https://example.com/x"}, "code"),
        ("POST", "/groups", {"subject": "x", "members": ["me"]}, "members"),
    ],
)
async def test_wrong_input_is_422_and_names_its_field(bot: Bot, method: str, path: str, body: Any, field: str) -> None:
    status, problem = await bot.call(method, ONE + path, body)
    assert status == 422, problem
    assert [error["field"].partition("[")[0] for error in problem["errors"]] == [field]
    assert bot.pool.asked == []


@pytest.mark.parametrize(("code", "status"), [("not_connected", 409), ("rejected", 409), ("timeout", 504)])
async def test_what_the_engine_refuses_has_a_status(bot: Bot, code: str, status: int) -> None:
    bot.pool.fail["ask"] = EngineError(code, "no")
    assert (await bot.call("GET", f"{ONE}/groups"))[0] == status
