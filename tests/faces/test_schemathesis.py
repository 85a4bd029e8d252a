"""schemathesis over the whole description, against the running program: no 5xx, and every answer as described."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support import processes
from tests.support.examples import examples
from tests.support.processes import Client, Program

pytestmark = [pytest.mark.system, pytest.mark.properties, pytest.mark.timeout(600)]

# Streams have no end, and one of the others is the watchdog's own (its token is used in tests of the watchdog).
STREAMS = r"/api/(events|heartbeat|logs/stream)$"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
SCHEMATHESIS = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or "schemathesis"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Program]:
    started = processes.bot(tmp_path_factory.mktemp("described"))
    started.start()
    try:
        await started.ready()
        async with Client(started.url) as api:
            await api.post("/api/sessions", {"id": "boutique"})
            # So that webhooks and deliveries have something to answer with.
            await api.post("/api/webhooks", {"url": "https://receiver.invalid/hook", "events": ["session.*"]})
            await api.post("/api/sessions/boutique/restart")
        yield started
    finally:
        started.close()


async def conforms(bot: Program, key: str | None, phases: str, schema: str | None = None) -> str:
    """``schema`` is a file that describes it; its own description by default."""
    arguments = [
        SCHEMATHESIS, "run", schema or f"{bot.url}/api/openapi.json", *(["--url", bot.url] if schema else []), "--checks", CHECKS, "--phases", phases,
        "--max-examples", str(examples(1)), "--exclude-path-regex", STREAMS, "--seed", "1", "--no-color",
    ]  # fmt: skip
    if key is not None:
        arguments += ["-H", f"Authorization: Bearer {key}"]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=Path(bot.env["DATA_DIR"])
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 500)
    finally:
        if process.returncode is None:
            process.kill()
    text = out.decode(errors="replace")
    assert process.returncode == 0, text[-6000:]
    return text


@pytest.mark.long
@pytest.mark.deep
async def test_the_administrators_key_meets_no_5xx_and_only_described_answers(bot: Program) -> None:
    text = await conforms(bot, processes.API_KEY, "examples,coverage,fuzzing")
    assert "Tested: 0" not in text
    assert not [event for event in bot.events() if event.get("event") == "http.crash"]


@pytest.mark.deep
async def test_a_scoped_key_meets_no_5xx_and_only_described_answers(bot: Program) -> None:
    async with Client(bot.url) as api:
        made = await api.post("/api/keys", {"name": "Shop", "owner": "shop", "scopes": ["session", "read", "send"]})
    async with Client(bot.url, made["key"]) as own:
        await own.post("/api/sessions", {"id": "shop-1"})
    await conforms(bot, made["key"], "examples,fuzzing")


async def test_without_a_key_everything_that_needs_one_says_so(bot: Program) -> None:
    await conforms(bot, None, "examples,fuzzing")
