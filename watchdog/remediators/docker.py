"""Restarts one container by Docker's socket, never one that a person stopped or paused.

Docker's own restart policy covers a container that ended, not one that hangs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from shared import http_client
from shared.network_errors import reason_of
from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident

_TERM_GRACE_S = 10
_ANSWER_LIMIT_BYTES = 4 * 1024 * 1024
_SERVICE_LABEL = "com.docker.compose.service"


class Refused(Exception):
    """Docker refused or the answer is unusable; the text is a stable code."""


class DockerRemediator:
    """``container`` is a name, an id, or a compose service with exactly one container."""

    name = "docker"

    def __init__(self, socket: Path, container: str, *, timeout_s: float = 60.0) -> None:
        self._socket, self._container = socket, container
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=5)

    async def run(self, action: str, incident: Incident) -> Repaired:
        try:
            connector = http_client.bounded(aiohttp.UnixConnector(path=str(self._socket)))
            async with http_client.session(connector, "http://docker", timeout=self._timeout) as http:
                return await self._restart(http)
        except Refused as refused:
            return Repaired("failed", str(refused))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return Repaired("failed", reason_of(error))

    async def _restart(self, http: aiohttp.ClientSession) -> Repaired:
        found = await self._find(http)
        excuse = skip_reason(found)
        if excuse is not None:
            return Repaired("skipped", excuse)
        await _call(http, "POST", f"/containers/{found['Id']}/restart?t={_TERM_GRACE_S}")
        return Repaired("done", f"container {str(found['Name']).lstrip('/')}")

    async def _find(self, http: aiohttp.ClientSession) -> dict[str, Any]:
        try:
            return _container(await _call(http, "GET", f"/containers/{quote(self._container, safe='')}/json"))
        except Refused as refused:
            if str(refused) != "http_404":
                raise
        filters = quote(json.dumps({"label": [f"{_SERVICE_LABEL}={self._container}"]}))
        of_service = await _call(http, "GET", f"/containers/json?all=true&filters={filters}")
        if not isinstance(of_service, list) or len(of_service) != 1:
            # None or several: the right one cannot be guessed.
            raise Refused("container_not_unique" if of_service else "container_not_found")
        return _container(await _call(http, "GET", f"/containers/{of_service[0]['Id']}/json"))


def _container(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or "Id" not in value:
        raise Refused("not_dockers_answer")
    return value


def skip_reason(container: dict[str, Any]) -> str | None:
    """Why this container must not be restarted, or None."""
    state = container.get("State", {})
    policy = container.get("HostConfig", {}).get("RestartPolicy", {}).get("Name", "")
    if state.get("Paused"):
        return "paused_by_a_person"
    if state.get("Restarting"):
        return "docker_restarts_it"
    # Docker restarts crashed containers under these policies: a stopped one was stopped on purpose.
    on_purpose = policy in ("always", "unless-stopped") or state.get("ExitCode") == 0
    return "stopped_by_a_person" if not state.get("Running") and on_purpose else None


async def _call(http: aiohttp.ClientSession, method: str, path: str) -> Any:
    async with http.request(method, path, allow_redirects=False) as answer:
        if answer.status >= 300:
            raise Refused(f"http_{answer.status}")
        return await http_client.read_json(answer, _ANSWER_LIMIT_BYTES) if answer.status == 200 else None
