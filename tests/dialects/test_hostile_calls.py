"""Hostile calls of the dialects' operations: no answer is 5xx, and each refusal has the dialect's own form.

Each is a good call with something wrong in it, so that it comes as far as possible.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot_service import keys
from bot_service.dialects.evolution import routes as evolution
from bot_service.dialects.waha import paths as waha
from bot_service.domain.session_record import CommandKind
from bot_service.domain.states import LIVE, State
from tests.dialects import evolution_scene, waha_scene
from tests.support.bot_app import Bot, is_in, running
from tests.support.examples import examples
from tests.support.waiting import eventually

pytestmark = [pytest.mark.deep, pytest.mark.timeout(600)]

# (method, path, body), the body as a value or as bytes
Call = tuple[str, str, Any]
Hostile = tuple[str, str, bytes | None]
# Beside the calls that every operation has: all fields of the bodies with many.
_HOOK = {"url": "http://127.0.0.1:1", "events": ["message"], "hmac": {"key": "k"}}
_RETRIES = {"policy": "linear", "delaySeconds": 2, "attempts": 3}
_PROXY = {"host": "a.example.com", "port": "3128", "protocol": "http", "username": "u", "password": "p"}
OF_WAHA: list[Call] = [
    ("POST", "/api/sessions", {"name": "hook", "start": False, "config": {
        "proxy": {"server": "a.example.com:1", "username": "u", "password": "p"}, "ignore": {"groups": True},
        "webhooks": [{**_HOOK, "retries": _RETRIES, "customHeaders": [{"name": "a", "value": "b"}]}],
    }}),
    ("PUT", "/api/sessions/other", {"config": {"webhooks": [_HOOK]}}),
    ("POST", "/api/other/auth/request-code", {"phoneNumber": "33612345678"}),
    ("POST", "/api/sendText", {"session": "default", "chatId": "1@c.us", "text": "x", "mentions": ["33612345678@c.us"]}),
]  # fmt: skip
OF_EVOLUTION: list[Call] = [
    ("POST", "/proxy/set/shop", {"enabled": True, **_PROXY}),
    ("GET", "/proxy/find/shop", None),
    ("POST", "/instance/create", {
        "instanceName": "p", "proxyHost": "a.example.com", "proxyPort": 1, "proxyProtocol": "http",
        "webhook": {"url": "http://127.0.0.1:1", "byEvents": True, "events": ["CALL"], "headers": {"a": "b"}},
    }),
    ("POST", "/message/sendText/shop", {
        "number": "33612345678", "text": "a", "quoted": {"key": {"id": "AAA"}}, "mentioned": ["33612345678"],
    }),
]  # fmt: skip
# What a dialect does not have.
NOT_HERE = ((501, "not_implemented"), (501, "not_supported"))
# No number among them is a pause that the service would make.
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e308, "", " ", "0", "-1", "null", "\x00", "a\x00b",
    "\n", "\u202e", "\ud800", "\U0001f44d" * 40, "x" * 70_000, "../../etc/passwd", "a/b", "%2e%2e", "@", "@g.us", "@lid", "@c.us",
    "1@lid", "12345@g.us", "status@broadcast", "33612345678@c.us@c.us", "true_", "true_@_", "false_@g.us_", "false_1@g.us_A_1@c.us",
    "'; DROP TABLE messages; --", "http://127.0.0.1:1", "http://[::1", "data:", "data:image/png;base64", "data:;base64,!!", "=", "AAAA",
    [], [[]], [None], [1], {}, {"": ""}, {"id": None}, {"key": {}}, {"a": {"b": [{}]}},
)  # fmt: skip
RAW = (
    b"", b"{", b"[]", b"null", b'"text"', b"7", b"\xff\xfe", b"[" * 5000, b'{"a":' * 5000, b'{"text": NaN}', b'{"text":"\\ud800"}',
)  # fmt: skip
QUERY = ("limit", "offset", "session", "chatId", "phone", "contactId", "ids", "number")
TEXTS = tuple(each for each in HOSTILE if isinstance(each, str) and len(each) < 5000 and each != "\ud800")


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every value in a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(each for name, part in inner for each in places(part, (*here, name)))]


def changed(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    """The body with another value at the end of ``way``; ``...`` leaves it out."""
    if not way:
        return None if new is ... else new
    copy = value.copy()
    if len(way) == 1 and new is ...:
        del copy[way[0]]
    else:
        copy[way[0]] = changed(value[way[0]], way[1:], new)
    return copy


@st.composite
def hostile(draw: st.DrawFn, calls: list[Call]) -> Hostile:
    """A good call with up to three faults in its body, or one in its query or path."""
    method, path, body = draw(st.sampled_from(calls))
    plain, _, query = path.partition("?")
    parts = [(name, unquote(value)) for name, _, value in (each.partition("=") for each in query.split("&") if each)]
    kinds = ("query", "path") if method == "GET" else ("raw", "query", "path", *["body"] * 9)
    what = draw(st.sampled_from(kinds))
    raw = None if body is None else json.dumps(body).encode()
    if what == "body":
        for _ in range(draw(st.integers(1, 3))):
            body = changed(body, draw(st.sampled_from(places(body))), draw(st.sampled_from((..., *HOSTILE))))
        raw = None if body is None else json.dumps(body).encode()
    elif what == "raw":
        raw = draw(st.sampled_from(RAW))
    elif what == "query":
        names = [name for name, _ in parts] or QUERY
        parts.append((draw(st.sampled_from(names)), draw(st.sampled_from(TEXTS))))
        parts = parts[-draw(st.integers(1, len(parts))) :]
    else:
        pieces = plain.split("/")
        place = draw(st.integers(1, len(pieces) - 1))
        pieces[place] = quote(draw(st.sampled_from(TEXTS)), safe="")
        plain = "/".join(pieces)
    return method, plain + "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in parts), raw


def wrong_of_waha(status: int, answer: Any) -> str | None:
    """How a refusal differs from WAHA's form."""
    if not isinstance(answer, dict) or set(answer) != {"statusCode", "message", "error", "code"}:
        return "not in the form of WAHA"
    if answer["statusCode"] != status:
        return "another status in the body"
    texts = [answer[name] for name in ("message", "error", "code")]
    return None if all(isinstance(each, str) and each for each in texts) else "no text"


def wrong_of_evolution(status: int, answer: Any) -> str | None:
    """How a refusal differs from Evolution's form."""
    if not isinstance(answer, dict) or set(answer) != {"status", "error", "response", "code"}:
        return "not in the form of Evolution"
    if answer["status"] != status:
        return "another status in the body"
    texts = [answer["error"], answer["code"], *answer["response"]["message"]]
    return None if len(texts) > 2 and all(isinstance(each, str) and each for each in texts) else "no text"


async def linked(bot: Bot, session: str) -> None:
    """Start and link the session again if a call ended it."""
    record = bot.app[keys.SESSIONS].registry.get(session)
    assert record is not None, "no call deletes the session"
    if record.state in (State.READY, State.DEGRADED):
        return
    if record.state not in LIVE:
        await bot.app[keys.SESSIONS].commands.command(session, CommandKind.START)
    registry = bot.app[keys.SESSIONS].registry
    await eventually(lambda: (r := registry.get(session)) and r.state in (State.PAIRING, State.READY), what="a start")
    if record.jid is None:
        bot.pool.pair(session)
    await is_in(bot, session, State.READY)


class Dialect(NamedTuple):
    """``session`` is linked. ``wrong`` says how a refusal differs from the dialect's form."""

    prefix: str
    session: str
    every_call: Callable[[Bot], Coroutine[Any, Any, list[Call]]]
    further: list[Call]
    wrong: Callable[[int, Any], str | None]


class Served:
    """The service, and good calls of the dialect."""

    def __init__(self, runner: asyncio.Runner, bot: Bot, dialect: Dialect) -> None:
        self._runner, self._bot, self._dialect = runner, bot, dialect
        # Without those that end the session, which would be linked again each time.
        every = runner.run(dialect.every_call(bot))
        self.calls = [each for each in every if "logout" not in each[1]] + dialect.further

    def fault(self, call: Hostile) -> str | None:
        """What is wrong with the answer to a call; None when nothing is."""
        status, answer = self._runner.run(self._ask(*call))
        if status >= 500 and (status, answer["code"]) not in NOT_HERE:
            return f"{status}: {answer}"
        why = self._dialect.wrong(status, answer) if status >= 400 else None
        return why and f"{why}: {answer}"

    async def _ask(self, method: str, path: str, raw: bytes | None) -> tuple[int, Any]:
        await linked(self._bot, self._dialect.session)
        headers = {"Content-Type": "application/json"}
        return await self._bot.call(method, self._dialect.prefix + path, data=raw, headers=headers)


DIALECTS = {
    "waha": Dialect(waha.PREFIX, "default", waha_scene.every_call, OF_WAHA, wrong_of_waha),
    "evolution": Dialect(evolution.PREFIX, "shop", evolution_scene.every_call, OF_EVOLUTION, wrong_of_evolution),
}


@pytest.fixture(params=DIALECTS)
def served(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """In one loop for all calls, and without the waits for what is sent."""
    for name in (
        "waha.messages.SENT_WITHIN_S",
        "evolution.messages.SENT_WITHIN_S",
        "evolution.instances.CODE_WITHIN_S",
    ):
        monkeypatch.setattr(f"bot_service.dialects.{name}", 0.05)
    with asyncio.Runner() as runner:
        service = running(tmp_path, SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0")
        bot = runner.run(_entered(service))
        try:
            yield Served(runner, bot, DIALECTS[request.param])
        finally:
            runner.run(_left(service))


async def _entered(service: AbstractAsyncContextManager[Bot]) -> Bot:
    return await service.__aenter__()


async def _left(service: AbstractAsyncContextManager[Bot]) -> None:
    await service.__aexit__(None, None, None)


def test_no_body_with_one_fault_is_answered_by_5xx_or_in_another_form(served: Served) -> None:
    calls = [
        (method, path, json.dumps(changed(body, place, value)).encode())
        for method, path, body in served.calls
        if body is not None
        for place in places(body)
        for value in (..., *HOSTILE)
    ]
    calls += [(method, path, raw) for method, path, body in served.calls if body is not None for raw in RAW]
    found = [f"{call[0]} {call[1]} {call[2][:300]!r} gave {why}" for call in calls if (why := served.fault(call))]
    assert not found, "\n".join(found[:20])
    assert len(calls) > 5000, "bodies were not taken apart"


def test_no_call_with_several_faults_is_answered_by_5xx_or_in_another_form(served: Served) -> None:
    @settings(max_examples=examples(200))
    @given(hostile(served.calls))
    def no_fault(call: Hostile) -> None:
        assert served.fault(call) is None

    no_fault()
