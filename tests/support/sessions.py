"""Sessions of a running service, made and brought to a state through its API."""

from __future__ import annotations

from typing import Any

from tests.support.processes import Client
from tests.support.waiting import PATIENCE_S, eventually


async def reaches(client: Client, session: str, *states: str, within_s: float = PATIENCE_S) -> dict[str, Any]:
    """The session, once it is in one of ``states``; a failure shows its transitions."""

    async def look() -> Any:
        found = await client.get(f"/api/sessions/{session}")
        return found if found["state"] in states else None

    try:
        return dict(await eventually(look, within_s=within_s, every_s=0.05, what=f"{session} being {states}"))
    except AssertionError as error:
        changes = await client.get(f"/api/sessions/{session}/transitions")
        raise AssertionError(f"{error}\n{changes}") from None


async def paired(client: Client, *sessions: str) -> None:
    """New sessions of the simulator, scanned and READY."""
    for session in sessions:
        await client.post("/api/sessions", {"id": session})
    for session in sessions:
        await scanned(client, session)


async def scanned(client: Client, session: str) -> None:
    """A session that shows a code is scanned and READY."""
    await reaches(client, session, "PAIRING")
    await client.post(f"/api/sessions/{session}/simulate", {"action": "scan"})
    await reaches(client, session, "READY")
