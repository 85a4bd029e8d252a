"""Both programs as processes over the real engine and the fake WhatsApp server, and the deeds of a person who uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fake_whatsapp.remote import ControlError, Remote
from tests.support import processes
from tests.support.processes import Client, Program
from tests.support.sessions import reaches
from tests.support.waiting import PATIENCE_S, eventually


def settings(server: Remote) -> dict[str, str]:
    """What makes a bot service run neonize against the fake server."""
    return {
        "ENGINE": "neonize",
        "ENGINE_WORKER_COMMAND": server.worker_command,
        "SSL_CERT_FILE": server.ca_file,
        "WHATSAPP_PROXY": server.proxy,
        "RECONNECT_FIRST_DELAY": "200",
        "RECONNECT_MAX_DELAY": "1000",
    }


def bot(tmp_path: Path, server: Remote, **env: str) -> Program:
    """The bot service with neonize, whose workers know no other server than the fake one."""
    return processes.bot(tmp_path, port=None, name="bot", **{**settings(server), "WHATSAPP_VERSION": "auto", **env})


async def state_of(client: Client, session: str) -> str:
    return str((await client.get(f"/api/sessions/{session}"))["state"])


async def until_state(client: Client, session: str, state: str, *, within_s: float = PATIENCE_S) -> Any:
    """Wait until the API shows this state; returns the session."""
    return await reaches(client, session, state, within_s=within_s)


async def pair(client: Client, server: Remote, session: str, number: str, **more: Any) -> None:
    """Create a session, scan the QR code that the API shows, and wait until it is READY."""
    await client.post("/api/sessions", {"id": session, **more})

    async def scanned() -> bool:
        status, body = await client.call("GET", f"/api/sessions/{session}/qr")
        if status != 200:
            return False
        try:
            await server("scan", code=body["qr"], number=number)
        except ControlError:
            return False  # its connection has ended since: a person scans the next code
        return True

    await eventually(scanned, every_s=0.05, what=f"a QR code of {session}")
    await until_state(client, session, "READY")
