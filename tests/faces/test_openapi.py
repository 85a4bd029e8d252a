"""The description of the API: whole, valid, made from the types that validate, with examples that work."""

from __future__ import annotations

import ast
import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from bot_service.api.server.openapi import TAGS
from bot_service.api.server.routes import ROUTES
from bot_service.domain import directory as ask
from bot_service.domain import people
from bot_service.domain.channels import Channel, CreateChannel
from bot_service.domain.states import State
from bot_service.events.dialects import TEST_EVENT
from bot_service.events.subscriptions import EVENT_TYPES
from tests.support.bot_app import Bot, is_in, running
from tests.support.processes import API_KEY, ROOT, WATCHDOG_TOKEN

# Pages for people, not part of the API.
PAGES = {
    "/",
    "/new",
    "/sessions",
    "/login",
    "/logout",
    "/live",
    "/events",
    "/docs",
    "/deliveries",
    "/webhooks",
    "/replicas",
    "/keys",
}
UNDER_PAGES = (
    "/docs/",
    "/sessions/",
    "/deliveries/",
    "/webhooks/",
    "/keys/",
    "/static/",
    "/waha/",
    "/evolution",
    "/message/",
    "/mcp",
)


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    async with running(tmp_path / "data") as started:
        yield started


@pytest.fixture
async def document(bot: Bot) -> dict[str, Any]:
    status, found = await bot.call("GET", "/api/openapi.json", key=None)
    assert status == 200
    return dict(found)


def routes_of(bot: Bot) -> set[tuple[str, str]]:
    return {
        (route.method, route.resource.canonical)
        for route in bot.app.router.routes()
        if route.resource is not None
        and route.method != "HEAD"
        and route.resource.canonical not in PAGES
        and not route.resource.canonical.startswith(UNDER_PAGES)
    }


async def test_every_route_of_the_api_is_described_and_nothing_else_is(bot: Bot) -> None:
    described = [(each.method, each.path) for each in ROUTES]
    assert len(set(described)) == len(described)
    assert set(described) == routes_of(bot)


def test_every_operation_says_what_it_does_and_has_a_known_tag() -> None:
    for each in ROUTES:
        assert len(each.summary) > 3, each.path
        assert len(each.description) > 10, each.path
        assert each.tag in TAGS
        assert all(response.description for response in each.responses.values())
    assert len({each.id for each in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "bot_service" / "api").rglob("*.py")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_no_handler_renders_what_no_type_describes(path: Path) -> None:
    for call in (each for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(each, ast.Call)):
        if isinstance(call.func, ast.Name) and call.func.id == "json_response":
            assert not isinstance(call.args[0], ast.Dict), f"{path.name}:{call.lineno}"


async def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


async def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    checked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            contents = [operation.get("requestBody", {}).get("content", {})]
            contents += [answer.get("content", {}) for answer in operation["responses"].values()]
            for content in (each for kinds in contents for each in kinds.values()):
                if "example" in content:
                    schema = {**content["schema"], "components": document["components"]}
                    faults = list(Draft202012Validator(schema).iter_errors(content["example"]))
                    assert faults == [], (method, path, faults)
                    checked += 1
    assert checked > 10


async def test_an_encoded_body_is_answered_as_described(bot: Bot, document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                headers = {"Content-Encoding": "gzip"}
                status, problem = await bot.call(method, path, data=gzip.compress(b"{}"), headers=headers)
                assert (status, problem["code"]) == (415, "unsupported_encoding"), path
                assert "415" in operation["responses"], path


async def test_what_webhooks_get_is_described_with_every_type_of_event(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == {*EVENT_TYPES, TEST_EVENT}
    for type_, operations in document["webhooks"].items():
        posted = operations["post"]
        [content] = posted["requestBody"]["content"].values()
        schema = {**content["schema"], "components": document["components"]}
        assert list(Draft202012Validator(schema).iter_errors(content["example"])) == [], type_
        assert content["example"]["type"] == type_
        names = {each["name"] for each in posted["parameters"]}
        assert names == {"webhook-id", "webhook-timestamp", "webhook-signature"}


# What must wait for a phone when its example is run; every other one has a linked phone.
BEFORE_PAIRING = {"post_api_sessions_id_pairing_code", "post_api_sessions"}


GROUP = ask.Group("120363041234567890@g.us", "Orders", "", "1@s.whatsapp.net", 0, False, False, ())
ANSWERS: dict[type, Any] = {
    ask.CheckNumbers: [ask.NumberCheck("33612345678", True, "33612345678@s.whatsapp.net")],
    ask.CreateGroup: GROUP,
    ask.ChangeGroup: GROUP,
    ask.ChangeMembers: [ask.GroupMember("33612345678@s.whatsapp.net")],
    ask.JoinGroup: GROUP.id,
    ask.SetGroupPicture: "1",
    CreateChannel: Channel("120363041234567890@newsletter", "News", "", "0029Va", "owner", 0, False, False),
    ask.AnswerJoinRequests: [ask.GroupMember("33612345678@s.whatsapp.net")],
    people.ChangeProfile: people.Profile("33612345678@s.whatsapp.net", None, "Boutique", "Open from 9 to 18", None),
    people.SetPicture: "7",
    people.SetPresence: None,
    people.FollowPresence: None,
    people.RejectCall: None,
}


@pytest.mark.parametrize(
    "operation", [each for each in ROUTES if each.body is not None], ids=lambda operation: operation.id
)
async def test_the_example_of_every_body_is_run_and_answered_as_described(bot: Bot, operation: Any) -> None:
    names = {"id": "boutique", "groupId": GROUP.id, "callId": "3EB0C767"}
    bot.pool.answers = ANSWERS
    if operation.id != "post_api_sessions":
        await bot.call("POST", "/api/sessions", {"id": "boutique"})
    if operation.id not in BEFORE_PAIRING:
        await linked(bot, "boutique")
    _, webhook = await bot.call("POST", "/api/webhooks", {"url": "https://shop.example.com/hook"})
    names["webhookId"] = webhook["id"]
    if "{messageId}" in operation.path:
        sent = {"to": "33612345678", "text": "Your order is ready."}
        names["messageId"] = (await bot.call("POST", "/api/sessions/boutique/messages", sent))[1]["id"]
    body = {**operation.example, "webhook": webhook["id"]} if "webhook" in operation.example else operation.example
    if operation.id == "post_api_sessions_import":
        _, exported = await bot.call("POST", "/api/sessions/boutique/export", {"passphrase": body["passphrase"]})
        await bot.call("DELETE", "/api/sessions/boutique")
        body = {**body, "file": exported["file"]}
    path = re.sub(r"\{(\w+)\}", lambda match: names[match[1]], operation.path)
    key = WATCHDOG_TOKEN if operation.tag == "Watchdog" else API_KEY
    status, answer = await bot.call(operation.method, path, body, key=key)
    assert status in operation.responses, (status, answer)
    kind = operation.responses[status].type
    if kind is not None and kind is not str:
        msgspec.convert(answer, kind)


async def linked(bot: Bot, session: str) -> None:
    """A phone scans the code of a session that is there."""
    await is_in(bot, session, State.PAIRING)
    bot.pool.pair(session)
    await is_in(bot, session, State.READY)


async def test_the_page_of_the_api_serves_swagger_ui_from_here(bot: Bot) -> None:
    status, page = await bot.call("GET", "/docs", key=None)
    assert status == 200
    assert 'data-document="/api/openapi.json"' in page
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert (await bot.call("GET", f"/docs/files/{name}", key=None))[0] == 200
    for name in ("swagger-editor.js", "..%2f..%2f__init__.py", "LICENSE"):
        assert (await bot.call("GET", f"/docs/files/{name}", key=None))[0] == 404
