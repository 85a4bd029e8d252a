"""Repairs by the bot itself: ``POST /api/repair``; the bot picks the failing sessions."""

from __future__ import annotations

import aiohttp

from shared import http_client
from shared.network_errors import reason_of
from shared.settings import Secret
from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident
from watchdog.probes.proving import ProvingConnector
from watchdog.probes.reasons import NotProven

PATH = "/api/repair"


class BotApiRemediator:
    """``url`` is the bot's base address; it must prove that it holds ``token``.

    The bot never undoes what a person wants.
    """

    name = "bot"

    def __init__(self, url: str, token: Secret, *, timeout_s: float = 30.0) -> None:
        self._url, self._token = url, token
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def run(self, action: str, incident: Incident) -> Repaired:
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        connector = ProvingConnector(self._url, self._token, force_close=True)
        try:
            async with (
                http_client.session(connector, timeout=self._timeout, headers=headers) as session,
                session.post(self._url + PATH, json={"action": action}, allow_redirects=False) as answer,
            ):
                if answer.status != 202:
                    return Repaired("failed", f"http_{answer.status}")
                reply = await http_client.read_json(answer)
        except NotProven:
            return Repaired("failed", "unproven")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Repaired("failed", reason_of(error))
        touched = reply.get("sessions") if isinstance(reply, dict) else None
        if not isinstance(touched, int):
            return Repaired("failed", "not_the_bots_answer")
        return Repaired("done", f"{touched} sessions") if touched else Repaired("skipped", "nothing_to_repair")
