"""The bot service and its workers run with the packages of the lock file alone (docs/decisions/0057)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support.locked_only import Fence
from tests.support.processes import Client
from tests.support.waiting import eventually
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]
BOT, ANN = "15550001", "15550002"
# The modules of the packages that neonize, apprise and the package of Swagger UI ask for, and that are left out.
LEFT_OUT = {
    "PIL",
    "bs4",
    "click",
    "django",
    "httpx",
    "linkpreview",
    "magic",
    "phonenumbers",
    "requests",
    "tqdm",
    "yaml",
}


async def test_a_session_is_paired_sends_and_receives_and_no_process_asks_for_a_package_that_is_left_out(
    tmp_path: Path, server: Remote
) -> None:
    fence = Fence(tmp_path / "fence", "bot_service")
    program = programs.bot(tmp_path, server, **fence.env)
    async with program.running(), Client(program.url) as client:
        await programs.pair(client, server, "shop", BOT)
        await server("send", sender=ANN, chat=BOT, body="a question")

        async def received() -> bool:
            page: Any = await client.get("/api/sessions/shop/messages?direction=in")
            return "a question" in str(page["messages"])

        await eventually(received, what="the message from outside")
        await client.post("/api/sessions/shop/messages", {"to": ANN, "text": "an answer"})

        async def arrived() -> bool:
            page: Any = await client.get("/api/sessions/shop/messages?direction=out")
            return any(message["state"] in ("sent", "delivered", "read") for message in page["messages"])

        await eventually(arrived, what="the message sent")
        status, _ = await client.call("GET", "/docs/files/swagger-ui.css")
        assert status == 200
        assert {program.pid, *program.worker_pids()} <= fence.pids()
    assert not {name.partition(".")[0] for name in fence.asked()} & LEFT_OUT
