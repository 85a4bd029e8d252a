"""A Railway API on loopback that really parses and validates GraphQL against the part of Railway's schema we use.

Type and field names are those of Railway's published schema; a query that asks for anything else is an error, as there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from graphql import GraphQLError, build_schema, graphql

SCHEMA = build_schema(
    """
    scalar DateTime
    enum DeploymentStatus {
      BUILDING CRASHED DEPLOYING FAILED INITIALIZING NEEDS_APPROVAL QUEUED REMOVED REMOVING SKIPPED SLEEPING SUCCESS
      WAITING
    }
    enum DeploymentInstanceStatus { CREATED INITIALIZING RUNNING RESTARTING CRASHED EXITED STOPPED REMOVING REMOVED SKIPPED }
    type DeploymentDeploymentInstance { id: String!  status: DeploymentInstanceStatus! }
    type Deployment {
      id: String!  status: DeploymentStatus!  createdAt: DateTime!  deploymentStopped: Boolean!
      instances: [DeploymentDeploymentInstance!]!
    }
    type ServiceInstance {
      latestDeployment: Deployment  activeDeployments: [Deployment!]!  numReplicas: Int  sleepApplication: Boolean
    }
    type ProjectToken { projectId: String!  environmentId: String! }
    type Query {
      serviceInstance(serviceId: String!, environmentId: String!): ServiceInstance!
      projectToken: ProjectToken!
    }
    type Mutation {
      deploymentRestart(id: String!): Boolean!
      deploymentRedeploy(id: String!, usePreviousImageTag: Boolean): Deployment!
      serviceInstanceRedeploy(serviceId: String!, environmentId: String!): Boolean!
    }
    """
)


@dataclass
class FakeRailway:
    """``status`` of the latest deployment, None for none; ``refuse`` holds the mutations that fail; ``http_status`` all."""

    service_id: str = "service-1"
    environment_id: str = "environment-1"
    token: str = "railway-token-of-tests"
    status: str | None = "CRASHED"
    stopped: bool = False
    refuse: set[str] = field(default_factory=set)
    http_status: int = 200
    hang: bool = False
    calls: list[str] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> FakeRailway:
        app = web.Application()
        app.router.add_post("/graphql/v2", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/graphql/v2"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if self.hang:
            await asyncio.Event().wait()
        if self.http_status != 200:
            return web.json_response({}, status=self.http_status, headers={"Retry-After": "30"})
        given = request.headers.get("Authorization", ""), request.headers.get("Project-Access-Token", "")
        if given not in ((f"Bearer {self.token}", ""), ("", self.token)):
            return web.json_response({"errors": [{"message": "Not Authorized"}], "data": None})
        body = await request.json()
        result = await graphql(SCHEMA, body["query"], root_value=self._root(), variable_values=body.get("variables"))
        errors = [{"message": error.message} for error in result.errors or []]
        status = 400 if errors and result.data is None else 200
        return web.json_response({"data": result.data, **({"errors": errors} if errors else {})}, status=status)

    def _root(self) -> dict[str, Any]:
        return {
            "serviceInstance": self._service_instance,
            "deploymentRestart": self._mutation("deploymentRestart"),
            "serviceInstanceRedeploy": self._mutation("serviceInstanceRedeploy"),
        }

    def _service_instance(self, _info: Any, serviceId: str, environmentId: str) -> dict[str, Any]:
        if (serviceId, environmentId) != (self.service_id, self.environment_id):
            raise GraphQLError("ServiceInstance not found")
        latest = None
        if self.status is not None:
            created = "2026-01-01T00:00:00Z"
            latest = {
                "id": "deployment-9",
                "status": self.status,
                "createdAt": created,
                "deploymentStopped": self.stopped,
            }
        return {"latestDeployment": latest, "activeDeployments": []}

    def _mutation(self, name: str) -> Any:
        def run(_info: Any, **arguments: str) -> bool:
            self.calls.append(name)
            if name in self.refuse:
                raise GraphQLError(f"{name}: problem processing request")
            known = {"id": "deployment-9", "serviceId": self.service_id, "environmentId": self.environment_id}
            if any(known.get(argument) != value for argument, value in arguments.items()):
                raise GraphQLError(f"{name}: not found")
            return True

        return run
