"""The Railway remediator against a server that validates every query by Railway's schema."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from graphql import parse, validate

from shared.settings import Secret
from tests.support.fake_railway import SCHEMA, FakeRailway
from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident, IncidentKind
from watchdog.remediators import railway
from watchdog.remediators.railway import RailwayRemediator

INCIDENT = Incident("i1", "bot", IncidentKind.DOWN, 0, 0, "timeout")


@pytest.fixture
async def api() -> AsyncIterator[FakeRailway]:
    async with FakeRailway() as fake:
        yield fake


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def _remediator(
    api: FakeRailway, http: aiohttp.ClientSession, *, project_token: bool = False, service: str = "service-1"
) -> RailwayRemediator:
    return RailwayRemediator(
        http,
        url=api.url,
        token=Secret(api.token),
        service_id=service,
        environment_id=api.environment_id,
        project_token=project_token,
        timeout_s=2,
    )


@pytest.mark.parametrize("query", [railway.LATEST, railway.RESTART, railway.REDEPLOY])
def test_every_query_is_valid_by_railways_schema(query: str) -> None:
    assert validate(SCHEMA, parse(query)) == []


@pytest.mark.parametrize("project_token", [False, True])
@pytest.mark.parametrize("status", ["SUCCESS", "CRASHED", "FAILED", "SLEEPING"])
async def test_the_latest_deployment_is_restarted(
    api: FakeRailway, http: aiohttp.ClientSession, project_token: bool, status: str
) -> None:
    api.status = status
    repaired = await _remediator(api, http, project_token=project_token).run("restart_deployment", INCIDENT)
    assert repaired == Repaired("done", "deployment restarted")
    assert api.calls == ["deploymentRestart"]


async def test_a_restart_that_is_refused_becomes_a_redeploy(api: FakeRailway, http: aiohttp.ClientSession) -> None:
    api.refuse = {"deploymentRestart"}
    repaired = await _remediator(api, http).run("restart_deployment", INCIDENT)
    assert repaired == Repaired("done", "service redeployed")
    assert api.calls == ["deploymentRestart", "serviceInstanceRedeploy"]


async def test_without_a_deployment_there_is_a_redeploy(api: FakeRailway, http: aiohttp.ClientSession) -> None:
    api.status = None
    repaired = await _remediator(api, http).run("restart_deployment", INCIDENT)
    assert repaired.result == "done"
    assert api.calls == ["serviceInstanceRedeploy"]


@pytest.mark.parametrize("status", sorted(railway.ON_ITS_WAY))
async def test_a_deployment_on_its_way_is_left_alone(
    api: FakeRailway, http: aiohttp.ClientSession, status: str
) -> None:
    api.status = status
    repaired = await _remediator(api, http).run("restart_deployment", INCIDENT)
    assert repaired == Repaired("skipped", f"deployment_{status.lower()}")
    assert api.calls == []


async def test_what_a_person_stopped_stays_stopped(api: FakeRailway, http: aiohttp.ClientSession) -> None:
    api.status, api.stopped = "SUCCESS", True
    assert await _remediator(api, http).run("restart_deployment", INCIDENT) == Repaired(
        "skipped", "stopped_by_a_person"
    )
    assert api.calls == []


async def test_refusals_of_the_api_are_failures_with_a_name(api: FakeRailway, http: aiohttp.ClientSession) -> None:
    both = _remediator(api, http)
    api.refuse = {"deploymentRestart", "serviceInstanceRedeploy"}
    assert await both.run("restart_deployment", INCIDENT) == Repaired("failed", "graphql_error")
    wrong = _remediator(api, http, service="service-2")
    assert await wrong.run("restart_deployment", INCIDENT) == Repaired("failed", "graphql_error")
    api.token = "another"
    assert await both.run("restart_deployment", INCIDENT) == Repaired("failed", "graphql_error")
    api.http_status = 429
    assert await both.run("restart_deployment", INCIDENT) == Repaired("failed", "http_429")


async def test_an_api_that_hangs_or_is_gone_is_a_failure(api: FakeRailway, http: aiohttp.ClientSession) -> None:
    remediator = RailwayRemediator(
        http, url=api.url, token=Secret(api.token), service_id="s", environment_id="e", timeout_s=0.2
    )
    api.hang = True
    assert await remediator.run("restart_deployment", INCIDENT) == Repaired("failed", "timeout")
    await api.__aexit__()
    assert await remediator.run("restart_deployment", INCIDENT) == Repaired("failed", "connect_failed")
