"""The active receive probe with the real engine: sessions write to each other or to their own account, and one that hears nothing is
doubted and mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fake_whatsapp.remote import Remote
from tests.support.members import members
from tests.support.processes import Client
from tests.support.waiting import eventually
from tests.wire import programs

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]
ONE, TWO = "15557001", "15557002"


@pytest.mark.parametrize("kind", members(["ring", "self"]))
async def test_probes_come_back_and_a_silent_session_is_found_and_mended(
    tmp_path: Path, server: Remote, kind: str
) -> None:
    program = programs.bot(
        tmp_path, server, RECEIVE_PROBE=kind, RECEIVE_PROBE_INTERVAL="1000", RECEIVE_PROBE_TIMEOUT="8000"
    )
    program.start()
    try:
        await program.ready()
        async with Client(program.url) as client:
            await programs.pair(client, server, "one", ONE)
            await programs.pair(client, server, "two", TWO)

            async def proven(session: str) -> bool:
                health = await client.get(f"/api/sessions/{session}/health")
                return health["probe"]["roundTripMs"] is not None

            for session in ("one", "two"):
                await eventually(lambda name=session: proven(name), what=f"a probe of {session}")  # type: ignore[misc]
            for session in ("one", "two"):
                found = await client.get(f"/api/sessions/{session}/transitions")
                assert "receive_suspected" not in [change["reason"] for change in found["transitions"]]
            await server("hush", number=TWO)

            async def reasons() -> list[Any]:
                found = await client.get("/api/sessions/two/transitions")
                return [change["reason"] for change in found["transitions"]]

            async def suspected() -> bool:
                return "receive_suspected" in await reasons()

            await eventually(suspected, what="the suspicion")
            await programs.until_state(client, "two", "READY")
            # Probes are no messages: nobody is told of them.
            assert (await client.get("/api/sessions/two/messages"))["messages"] == []
    finally:
        program.close()
