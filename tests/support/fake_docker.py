"""Docker's engine API on a Unix socket, as far as one container's look and restart go."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass
class FakeDocker:
    """``containers`` by name: what ``docker inspect`` shows."""

    socket: Path
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    restarts: list[tuple[str, str]] = field(default_factory=list)
    restart_status: int = 204
    _runner: web.AppRunner | None = None

    def add(self, name: str, *, service: str = "", policy: str = "unless-stopped", **state: Any) -> None:
        self.containers[name] = {
            "Id": f"id-{name}",
            "Name": f"/{name}",
            "State": {"Running": True, "Paused": False, "Restarting": False, "ExitCode": 0, **state},
            "HostConfig": {"RestartPolicy": {"Name": policy, "MaximumRetryCount": 0}},
            "Config": {"Labels": {"com.docker.compose.service": service}},
        }

    async def __aenter__(self) -> FakeDocker:
        app = web.Application()
        app.router.add_get("/containers/json", self._list)
        app.router.add_get("/containers/{name}/json", self._inspect)
        app.router.add_post("/containers/{name}/restart", self._restart)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _find(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self.containers.values() if name in (one["Name"][1:], one["Id"])), None)

    async def _inspect(self, request: web.Request) -> web.Response:
        found = self._find(request.match_info["name"])
        return web.json_response(found) if found else web.json_response({"message": "No such container"}, status=404)

    async def _list(self, request: web.Request) -> web.Response:
        wanted = dict(label.split("=", 1) for label in json.loads(request.query["filters"])["label"])
        some = [one for one in self.containers.values() if wanted.items() <= one["Config"]["Labels"].items()]
        return web.json_response([{"Id": one["Id"]} for one in some])

    async def _restart(self, request: web.Request) -> web.Response:
        found = self._find(request.match_info["name"])
        if found is None:
            return web.json_response({"message": "No such container"}, status=404)
        self.restarts.append((found["Name"][1:], request.query.get("t", "")))
        return web.Response(status=self.restart_status)
