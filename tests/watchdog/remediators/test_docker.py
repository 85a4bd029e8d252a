"""The Docker remediator: over a Unix socket that speaks the engine's API, and with the real engine where there is one."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_docker import FakeDocker
from tests.support.waiting import eventually
from watchdog.domain.ports import Repaired
from watchdog.domain.states import Incident, IncidentKind
from watchdog.remediators.docker import DockerRemediator

INCIDENT = Incident("i1", "bot", IncidentKind.DOWN, 0, 0, "timeout")


@pytest.fixture
async def docker(tmp_path: Path) -> AsyncIterator[FakeDocker]:
    async with FakeDocker(tmp_path / "docker.sock") as fake:
        yield fake


async def test_the_named_container_is_restarted_with_time_to_say_goodbye(docker: FakeDocker) -> None:
    docker.add("bot")
    docker.add("other")
    assert await DockerRemediator(docker.socket, "bot").run("restart_container", INCIDENT) == Repaired(
        "done", "container bot"
    )
    assert docker.restarts == [("bot", "10")]


async def test_a_compose_service_is_found_by_its_label(docker: FakeDocker) -> None:
    docker.add("veilleur-bot-1", service="bot")
    docker.add("veilleur-watchdog-1", service="watchdog")
    repaired = await DockerRemediator(docker.socket, "bot").run("restart_container", INCIDENT)
    assert repaired == Repaired("done", "container veilleur-bot-1")


async def test_it_is_not_guessed_which_of_several_containers_is_meant(docker: FakeDocker) -> None:
    docker.add("a-bot-1", service="bot")
    docker.add("b-bot-1", service="bot")
    remediator = DockerRemediator(docker.socket, "bot")
    assert await remediator.run("restart_container", INCIDENT) == Repaired("failed", "container_not_unique")
    assert await DockerRemediator(docker.socket, "none").run("restart_container", INCIDENT) == Repaired(
        "failed", "container_not_found"
    )
    assert docker.restarts == []


@pytest.mark.parametrize(
    ("policy", "state", "detail"),
    [
        ("unless-stopped", {"Paused": True}, "paused_by_a_person"),
        ("unless-stopped", {"Restarting": True}, "docker_restarts_it"),
        ("unless-stopped", {"Running": False, "ExitCode": 143}, "stopped_by_a_person"),
        ("no", {"Running": False, "ExitCode": 0}, "stopped_by_a_person"),
    ],
)
async def test_what_a_person_or_docker_is_at_is_left_alone(
    docker: FakeDocker, policy: str, state: dict[str, Any], detail: str
) -> None:
    docker.add("bot", policy=policy, **state)
    assert await DockerRemediator(docker.socket, "bot").run("restart_container", INCIDENT) == Repaired(
        "skipped", detail
    )
    assert docker.restarts == []


async def test_a_container_that_crashed_and_has_no_restart_policy_is_started_again(docker: FakeDocker) -> None:
    docker.add("bot", policy="no", Running=False, ExitCode=139)
    assert (await DockerRemediator(docker.socket, "bot").run("restart_container", INCIDENT)).result == "done"


async def test_troubles_with_the_engine_are_failures_with_a_name(docker: FakeDocker, tmp_path: Path) -> None:
    docker.add("bot")
    docker.restart_status = 500
    assert await DockerRemediator(docker.socket, "bot").run("restart_container", INCIDENT) == Repaired(
        "failed", "http_500"
    )
    missing = await DockerRemediator(tmp_path / "none.sock", "bot").run("restart_container", INCIDENT)
    assert missing == Repaired("failed", "connect_failed")


async def test_a_name_with_odd_letters_stays_one_path_segment(docker: FakeDocker) -> None:
    docker.add("bot")
    repaired = await DockerRemediator(docker.socket, "../containers/bot").run("restart_container", INCIDENT)
    assert repaired == Repaired("failed", "container_not_found")


def _engine() -> Path | None:
    """The socket of an engine that answers and holds an image that can run, or None."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://") or not Path(host.removeprefix("unix://")).exists():
        return None
    return Path(host.removeprefix("unix://"))


def _docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=120, check=True
    ).stdout.strip()


@pytest.mark.docker
async def test_the_real_engine_restarts_a_hung_container() -> None:
    socket = _engine()
    if socket is None:
        pytest.skip("needs a Docker engine (.ci/run starts one)")
    images = [
        line for line in _docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines() if "python" in line
    ]
    if not images:
        pytest.skip("needs an image with Python in the engine (.ci/run builds one)")
    name = f"veilleur-test-{secrets.token_hex(4)}"
    await asyncio.to_thread(
        _docker,
        "run",
        "-d",
        "--name",
        name,
        "--restart",
        "unless-stopped",
        images[0],
        "python3",
        "-c",
        "import time; time.sleep(3600)",
    )
    try:
        pid = int(await asyncio.to_thread(_docker, "inspect", "-f", "{{.State.Pid}}", name))
        os.kill(pid, 19)  # SIGSTOP: it hangs, and Docker does nothing about it

        repaired = await DockerRemediator(socket, name).run("restart_container", INCIDENT)
        assert repaired == Repaired("done", f"container {name}")

        async def runs_again() -> bool:
            state = json.loads(await asyncio.to_thread(_docker, "inspect", "-f", "{{json .State}}", name))
            return bool(state["Running"]) and state["Pid"] not in (0, pid)

        await eventually(runs_again, what="the container running again")

        await asyncio.to_thread(_docker, "pause", name)
        paused = await DockerRemediator(socket, name).run("restart_container", INCIDENT)
        assert paused == Repaired("skipped", "paused_by_a_person")
        await asyncio.to_thread(_docker, "unpause", name)
        await asyncio.to_thread(_docker, "stop", "-t", "0", name)
        stopped = await DockerRemediator(socket, name).run("restart_container", INCIDENT)
        assert stopped == Repaired("skipped", "stopped_by_a_person")
    finally:
        await asyncio.to_thread(_docker, "rm", "-f", name)
