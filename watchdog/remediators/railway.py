"""Restarts the bot's deployment by Railway's GraphQL API, or redeploys its service.

Names follow Railway's schema. A deployment in progress is left alone.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from shared import http_client
from shared.network_errors import reason_of
from shared.settings import Secret
from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident

LATEST = (
    "query latest($serviceId: String!, $environmentId: String!) {"
    " serviceInstance(serviceId: $serviceId, environmentId: $environmentId) {"
    " latestDeployment { id status deploymentStopped } } }"
)
RESTART = "mutation restart($id: String!) { deploymentRestart(id: $id) }"
REDEPLOY = (
    "mutation redeploy($serviceId: String!, $environmentId: String!) {"
    " serviceInstanceRedeploy(serviceId: $serviceId, environmentId: $environmentId) }"
)
ON_ITS_WAY = frozenset({"BUILDING", "DEPLOYING", "INITIALIZING", "QUEUED", "WAITING", "NEEDS_APPROVAL"})
_GONE = frozenset({"REMOVED", "REMOVING"})


class Refused(Exception):
    """Railway refused; the text is a stable code."""


class RailwayRemediator:
    """``token`` of an account or workspace (Bearer), or of one environment: ``project_token``."""

    name = "railway"

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        url: str,
        token: Secret,
        service_id: str,
        environment_id: str,
        project_token: bool = False,
        timeout_s: float = 30.0,
    ) -> None:
        self._http, self._url, self._token, self._project_token = http, url, token, project_token
        self._place = {"serviceId": service_id, "environmentId": environment_id}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def run(self, action: str, incident: Incident) -> Repaired:
        try:
            return await self._restart()
        except Refused as refused:
            return Repaired("failed", str(refused))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return Repaired("failed", reason_of(error))

    async def _restart(self) -> Repaired:
        instance = (await self._ask(LATEST, self._place)).get("serviceInstance")
        if not isinstance(instance, dict):
            raise Refused("service_not_found")
        latest = instance.get("latestDeployment")
        if isinstance(latest, dict):
            status = latest.get("status")
            if status in ON_ITS_WAY:
                return Repaired("skipped", f"deployment_{str(status).lower()}")
            if status in _GONE or latest.get("deploymentStopped"):
                return Repaired("skipped", "stopped_by_a_person")
            try:
                if (await self._ask(RESTART, {"id": latest["id"]})).get("deploymentRestart") is True:
                    return Repaired("done", "deployment restarted")
            except Refused as refused:
                # Certainly not restarted: a new deployment doubles nothing.
                if str(refused) in ("http_401", "http_403", "http_429"):
                    raise
        if (await self._ask(REDEPLOY, self._place)).get("serviceInstanceRedeploy") is True:
            return Repaired("done", "service redeployed")
        raise Refused("redeploy_refused")

    async def _ask(self, query: str, variables: dict[str, str]) -> dict[str, Any]:
        token = self._token.reveal()
        headers = {"Project-Access-Token": token} if self._project_token else {"Authorization": f"Bearer {token}"}
        body = {"query": query, "variables": variables}
        async with self._http.post(
            self._url, json=body, headers=headers, timeout=self._timeout, allow_redirects=False
        ) as answer:
            # GraphQL servers send errors with status 200 and 400; anything else is no answer.
            if answer.status not in (200, 400):
                raise Refused(f"http_{answer.status}")
            reply = await http_client.read_json(answer)
        if not isinstance(reply, dict) or reply.get("errors") or not isinstance(reply.get("data"), dict):
            raise Refused("graphql_error")
        data: dict[str, Any] = reply["data"]
        return data
