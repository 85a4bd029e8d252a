"""The Dockerfiles and the compose file, as linters see them and as a Docker engine runs them."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot_service.settings import BotSettings
from shared.settings import environment, load
from tests.support.processes import ROOT
from watchdog.settings import WatchdogSettings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
DOCKERFILES = ["Dockerfile.bot", "Dockerfile.watchdog"]
BIN = Path(sys.executable).parent


def _run(*command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def _engine() -> bool:
    return shutil.which("docker") is not None and _run("docker", "info").returncode == 0


def _compose() -> bool:
    """Compose knows ``env_file: {path, required}`` since 2.24."""
    if shutil.which("docker") is None:
        return False
    said = _run("docker", "compose", "version", "--short").stdout
    version = tuple(int(number) for number in re.findall(r"\d+", said)[:2])
    return version >= (2, 24)


def test_hadolint_finds_nothing() -> None:
    done = _run(str(BIN / "hadolint"), *DOCKERFILES)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_has_the_shape_of_the_specification() -> None:
    done = _run(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert done.returncode == 0, done.stdout


@pytest.mark.docker
@pytest.mark.parametrize("profile", ["monitoring", "pair", "replicas"])
def test_compose_accepts_the_file_without_an_env_file(profile: str) -> None:
    if not _compose():
        pytest.skip("needs docker with compose 2.24 or newer (.ci/run starts an engine)")
    done = _run("docker", "compose", "--profile", profile, "config", "-q")
    assert done.returncode == 0, done.stderr


@pytest.mark.docker
@pytest.mark.parametrize(("shell", "file", "engine"), [
    ({}, "", ""),
    ({"ENGINE": "simulator"}, "", "simulator"),
    ({}, "ENGINE=simulator\n", "simulator"),
    ({"ENGINE": "neonize"}, "ENGINE=simulator\n", "neonize"),
])  # fmt: skip
def test_the_engine_of_the_shell_or_of_the_env_file_reaches_the_container(
    tmp_path: Path, shell: dict[str, str], file: str, engine: str
) -> None:
    if not _compose():
        pytest.skip("needs docker with compose 2.24 or newer (.ci/run starts an engine)")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / ".env").write_text(file)
    done = subprocess.run(
        ["docker", "compose", "config", "--format", "json"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False, env={**{name: value for name, value in environment().items() if name != "ENGINE"}, **shell},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["services"]["bot"]["environment"]["ENGINE"] == engine


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_service_is_confined(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert not str(service["user"]).startswith("0")
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in service["ports"])
    assert "privileged" not in service
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


def test_the_engine_can_be_chosen_for_one_start() -> None:
    given = COMPOSE["services"]["bot"]["environment"]
    assert given["ENGINE"] == "${ENGINE:-}"
    assert given["STARTED_WITH"] == "docker compose up"
    assert load(BotSettings, {"ENGINE": ""}).engine == "neonize"


@pytest.mark.parametrize("name", ["bot", "watchdog"])
def test_our_programs_run_as_the_user_of_their_images(name: str) -> None:
    assert COMPOSE["services"][name]["user"] == "10001:10001"
    assert "\nUSER 10001:10001\n" in (ROOT / f"Dockerfile.{name}").read_text(encoding="utf-8")


def test_replicas_are_the_bot_service_with_an_address_and_a_folder_of_their_own() -> None:
    services = COMPOSE["services"]
    own = {"profiles", "environment", "volumes", "ports"}
    for name in ("bot-2", "bot-3"):
        assert services[name]["profiles"] == ["replicas"]
        assert services[name]["environment"] == {**services["bot"]["environment"], "REPLICA_URL": f"http://{name}:3000"}
        assert services[name]["volumes"] == [f"{name}-data:/data", "shared-secrets:/secrets"]
        assert {key: value for key, value in services[name].items() if key not in own} == {
            key: value for key, value in services["bot"].items() if key not in own
        }
    # What the default profile starts is as it was.
    assert [name for name, service in services.items() if "profiles" not in service] == ["bot", "watchdog"]
    assert "REPLICA_URL" not in services["bot"]["environment"]


def test_the_watchdog_gets_no_address_with_a_password_of_the_bot_service() -> None:
    own = {field.metadata["name"] for field in dataclasses.fields(WatchdogSettings)}
    secret = {
        field.metadata["name"] for field in dataclasses.fields(BotSettings) if field.metadata["kind"].secret
    } - own  # fmt: skip
    addresses = {name for name in secret if name.endswith("_URL")}
    assert addresses == {"DATABASE_URL", "DEVICE_STORE_URL", "MEDIA_URL"}
    given = COMPOSE["services"]["watchdog"]["environment"]
    assert {name: given[name] for name in addresses} == dict.fromkeys(addresses, "")


def test_no_secret_stands_in_the_files_of_compose() -> None:
    secrets = {
        field.metadata["name"]
        for settings in (BotSettings, WatchdogSettings)
        for field in dataclasses.fields(settings)
        if field.metadata["kind"].secret
    }
    assert {"BOT_API_KEY", "WATCHDOG_TOKEN", "METRICS_TOKEN", "ALERT_URLS"} <= secrets
    given = [
        (variable, str(value))
        for service in COMPOSE["services"].values()
        for variable, value in dict(service.get("environment") or {}).items()
    ]
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    given += re.findall(r"^([A-Z_]+)=(.*)$", example, re.M)
    assert len(given) > 10
    assert [(name, value) for name, value in given if name in secrets and value and not value.startswith("${")] == []
    for path in (ROOT / "docker-compose.yml", *(ROOT / "monitoring").rglob("*.yml"), ROOT / ".env.example"):
        assert not re.search(r"whsec_[A-Za-z0-9+/=]{16,}|vk_[A-Za-z0-9]{16,}", path.read_text(encoding="utf-8")), path


def test_the_watchdog_waits_for_nobody() -> None:
    assert "depends_on" not in COMPOSE["services"]["watchdog"]


def test_both_programs_share_the_secrets_and_nothing_else() -> None:
    def volumes(name: str) -> set[str]:
        return {str(volume).split(":", maxsplit=1)[0] for volume in COMPOSE["services"][name]["volumes"]}

    assert volumes("bot") & volumes("watchdog") == {"shared-secrets"}


@pytest.mark.parametrize(("name", "package", "other"), [
    ("Dockerfile.bot", "bot_service", "watchdog"),
    ("Dockerfile.watchdog", "watchdog", "bot_service"),
])  # fmt: skip
def test_an_image_gets_its_own_package_and_shared_only(name: str, package: str, other: str) -> None:
    copied = [
        line.split()[1]
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ") and "--from=" not in line
    ]
    assert copied == [f"{package}/requirements.lock", "shared", package]
    assert f"COPY {other}" not in (ROOT / name).read_text(encoding="utf-8")


def test_every_script_passes_shellcheck() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck (.ci/run installs it)")
    scripts = [".ci/run", ".ci/containers", ".ci/docker-engine.sh", ".ci/translations.sh"]
    scripts += [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("*.sh"))]
    done = _run("shellcheck", *scripts)
    assert done.returncode == 0, done.stdout


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_the_images_run_as_root_on_a_root_owned_volume_and_as_10001_on_their_own() -> None:
    if not _engine():
        pytest.skip("needs a Docker engine (.ci/run starts one)")
    done = _run("tests/system/images.sh", timeout=590)
    assert done.returncode == 0, done.stdout + done.stderr
