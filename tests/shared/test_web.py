"""Problem documents, typed bodies, tokens, and a port on both families."""

from __future__ import annotations

import asyncio
import gzip
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, make_mocked_request
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pytest_aiohttp.plugin import AiohttpClient

from shared.clock import SystemClock
from shared.settings import Secret
from shared.web import auth, body, errors, metrics, middleware, ports
from shared.web.browser import cookie
from shared.web.request_handler import listen
from shared.web.ui.assets import StaticFile
from tests.support.processes import ROOT, free_port

REGISTRY: web.AppKey[CollectorRegistry] = web.AppKey("registry", CollectorRegistry)


class Order(msgspec.Struct, forbid_unknown_fields=True):
    to: Annotated[str, msgspec.Meta(min_length=1)]
    count: int = 1


async def _take(request: web.Request) -> web.Response:
    order = await body.read(request, Order)
    return body.json_response({"to": order.to}, status=201)


async def _crash(_request: web.Request) -> web.Response:
    raise RuntimeError("token=abcdef for 33612345678")


async def _guarded(request: web.Request) -> web.Response:
    auth.require(request, Secret("the-right-token"))
    return web.Response(text="in")


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> TestClient[web.Request, web.Application]:
    registry = CollectorRegistry()
    app = web.Application(
        middlewares=[middleware.problems(SystemClock(), metrics.http_measure(registry, "test"))], client_max_size=1000
    )
    app.on_response_prepare.append(middleware.add_headers)
    app.router.add_post("/orders/{id}", _take)
    app.router.add_get("/crash", _crash)
    app.router.add_get("/guarded", _guarded)
    app.router.add_get("/metrics", metrics.handler(registry, None))
    app[REGISTRY] = registry
    return await aiohttp_client(app)


@pytest.mark.parametrize(
    ("raw", "status", "field"),
    [
        (b"{", 400, None),
        (b"", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, "body"),
        (b"{}", 422, "to"),
        (b'{"to": 5}', 422, "to"),
        (b'{"to": ""}', 422, "to"),
        (b'{"to": "x", "count": "2"}', 422, "count"),
        (b'{"to": "x", "nope": 1}', 422, "nope"),
        (b'{"to":' * 100_000, 413, None),
        (b'{"to": "' + b"x" * 2000 + b'"}', 413, None),
    ],
)
async def test_a_wrong_body_names_its_field(
    client: TestClient[web.Request, web.Application], raw: bytes, status: int, field: str | None
) -> None:
    answer = await client.post("/orders/7", data=raw, headers={"Content-Type": "application/json"})
    problem = await answer.json(content_type="application/problem+json")
    assert answer.status == status
    assert problem["status"] == status
    assert problem["code"]
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"])
async def test_a_body_is_judged_by_what_it_is_and_not_by_its_name(
    client: TestClient[web.Request, web.Application], kind: str
) -> None:
    answer = await client.post("/orders/7", data=b"to=x", headers={"Content-Type": kind})
    assert (answer.status, answer.content_type) == (400, "application/problem+json")
    answer = await client.post("/orders/7", data=b'{"to": "x"}', headers={"Content-Type": kind})
    assert answer.status == 201


@pytest.mark.parametrize("raw", [gzip.compress(b'{"to": "x"}'), b"not gzip", b""], ids=["gzip", "not gzip", "nothing"])
async def test_an_encoded_body_is_415_also_where_the_server_would_unpack_it(
    client: TestClient[web.Request, web.Application], raw: bytes
) -> None:
    answer = await client.post("/orders/7", data=raw, headers={"Content-Encoding": "gzip"})
    problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["code"]) == (415, "unsupported_encoding")


def test_a_body_that_is_nested_too_deeply_is_400() -> None:
    with pytest.raises(errors.Problem) as caught:
        body.decode(b'{"a":' * 100_000, dict)
    assert caught.value.status == 400


async def test_unknown_paths_and_methods_are_problem_documents(
    client: TestClient[web.Request, web.Application],
) -> None:
    missing = await client.get("/nowhere")
    assert (missing.status, missing.content_type) == (404, "application/problem+json")
    wrong = await client.put("/crash")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET,HEAD")


async def test_a_crash_tells_a_reference_and_nothing_else(client: TestClient[web.Request, web.Application]) -> None:
    answer = await client.get("/crash")
    text = await answer.text()
    assert answer.status == 500
    assert "reference" in text
    assert "abcdef" not in text
    assert "RuntimeError" not in text


async def test_a_token_is_needed_and_must_be_the_right_one(client: TestClient[web.Request, web.Application]) -> None:
    assert (await client.get("/guarded")).status == 401
    assert (await client.get("/guarded", headers={"Authorization": "Bearer wrong"})).status == 403
    assert (await client.get("/guarded", headers={"Authorization": "Bearer thé-right"})).status == 403
    assert (await client.get("/guarded", headers={"Authorization": "Bearer the-right-token"})).status == 200
    assert (await client.get("/guarded", headers={"X-Api-Key": "the-right-token"})).status == 200


async def test_requests_are_counted_by_pattern_never_by_value(client: TestClient[web.Request, web.Application]) -> None:
    await client.post("/orders/33612345678", json={"to": "x"})
    await client.get("/nowhere/33612345678")
    text = await (await client.get("/metrics")).text()
    assert 'test_http_requests_total{method="POST",route="/orders/{id}",status="201"} 1.0' in text
    assert 'route="unmatched",status="404"' in text
    assert "33612345678" not in text


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=x",
        "application/openmetrics-text; version=1.x.0",
        "application/openmetrics-text;version=",
        "application/openmetrics-text; version=1.0.0.0.0.0",
        f"application/openmetrics-text; version={'9' * 5000}.0.0",
        "application/openmetrics-text; version=\u0661.\u0660.\u0660",
        "application/openmetrics-text; version=-1.0.0",
        "text/plain; version=x; escaping=y",
        "text/plain; version=1.0.0; escaping=x=y",
        "text/plain;version =x, application/openmetrics-text; VERSION=y",
        ";;;,,,===",
        "a" * 8000,
    ],
)
async def test_metrics_answer_whatever_is_accepted(
    client: TestClient[web.Request, web.Application], accept: str
) -> None:
    answer = await client.get("/metrics", headers={"Accept": accept})
    assert answer.status == 200
    assert "test_http_requests_total" in await answer.text()
    for kind in ("text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0; charset=utf-8"):
        assert (await client.get("/metrics", headers={"Accept": kind})).content_type == kind.partition(";")[0]


async def test_metrics_are_rendered_once_for_all_who_wait(client: TestClient[web.Request, web.Application]) -> None:
    registry = client.app[REGISTRY]
    rendered: list[int] = []

    class Slow(Collector):
        def collect(self) -> Iterator[Metric]:
            rendered.append(len(rendered))
            time.sleep(0.02)
            yield GaugeMetricFamily("rendered", "How often", value=len(rendered))

    registry.register(Slow())
    rendered.clear()

    async def scrape(accept: str) -> str:
        async with client.get("/metrics", headers={"Accept": accept}) as answer:
            assert answer.status == 200
            return await answer.text()

    kinds = ["text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"]
    answers = await asyncio.gather(*(scrape(kinds[number % 2]) for number in range(60)))
    assert len(rendered) < 12
    assert all("rendered" in answer for answer in answers)
    # A scrape shows what was counted before it.
    for _ in range(3):
        count = len(rendered)
        assert f"rendered {count + 1}.0" in await scrape(kinds[0])


async def test_every_answer_carries_the_safe_headers(client: TestClient[web.Request, web.Application]) -> None:
    answer = await client.get("/nowhere")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem_document_and_no_error_of_ours(
    raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    [sock] = ports.listening_sockets("127.0.0.1", 0)
    app = web.Application()
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    doors = await listen(runner, [sock])
    try:
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(raw)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    finally:
        for door in doors:
            door.close()
        await runner.cleanup()
    head, _, document = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"Content-Type: application/problem+json" in head
    assert msgspec.json.decode(document)["code"] == "bad_request"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_the_default_address_serves_ipv4_and_ipv6() -> None:
    sockets = ports.listening_sockets(None, 0)
    port = sockets[0].getsockname()[1]
    app = web.Application()
    app.router.add_get("/", _guarded)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        for sock in sockets:
            await web.SockSite(runner, sock).start()
        async with aiohttp.ClientSession() as http:
            for host in ("127.0.0.1", "[::1]"):
                async with http.get(f"http://{host}:{port}/", headers={"X-Api-Key": "the-right-token"}) as answer:
                    assert answer.status == 200
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_ours_is_one_line_that_names_it(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        ports.bind_or_exit(host, 0)
    assert caught.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"HOST {host} is no address of this machine")


def test_a_port_in_use_is_one_clear_line_and_exit_code_1() -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        code = f"from shared.web import ports; ports.bind_or_exit('127.0.0.1', {port})"
        ended = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"Port {port} is already in use by another program: stop it or set PORT to another one"
    ]


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([], None),
        (["lang=fr"], "fr"),
        (["a=b; lang=fr; c=d"], "fr"),
        (["a=b;lang=fr"], "fr"),
        (["a=b", "lang=fr"], "fr"),
        (['lang="fr"'], "fr"),
        (["lang=fr=en"], "fr=en"),
        (["lang="], ""),
        (["xlang=en; lang=fr"], "fr"),
        (["a=lang=en; b=c"], None),
        (["; ".join(f"c{n}=v" for n in range(900)), "lang=fr"], "fr"),
        (["; " * 4000], None),
        ([";lang" * 1600], None),
    ],
)
def test_a_cookie_is_found_among_others(headers: list[str], value: str | None) -> None:
    request = make_mocked_request("GET", "/", CIMultiDict(("Cookie", header) for header in headers))
    assert cookie(request, "lang") == value


@pytest.mark.parametrize("header", ["; ".join(f"c{n}=v" for n in range(1000)), ";" * 8000, "lang" * 2000, " " * 8000])
def test_a_cookie_is_read_without_reading_all_of_them(header: str) -> None:
    request = make_mocked_request("GET", "/", CIMultiDict([("Cookie", header)]))
    began = time.process_time()
    for _ in range(20):
        assert cookie(request, "lang") is None
    ours = time.process_time() - began
    # All of them take ten milliseconds of a fast core for the first of these headers.
    assert ours < 20 * 0.005


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("*", True),
        ("GZIP", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("gzipped", False),
        ("br", False),
    ],
)
def test_a_static_file_is_packed_once_for_those_who_accept_it(accepted: str, packed: bool) -> None:
    file = StaticFile.of(b"body { }" * 1000, "text/css")
    request = make_mocked_request("GET", "/", CIMultiDict([("Accept-Encoding", accepted)]))
    answers = [file.response(request, "no-cache") for _ in range(2)]
    assert (answers[0].headers.get("Content-Encoding") == "gzip") is packed
    assert answers[0].body is answers[1].body
    body = answers[0].body
    assert isinstance(body, bytes)
    assert (gzip.decompress(body) if packed else body) == file.plain
    assert answers[0].headers["Vary"] == "Accept-Encoding"
