"""The Railway project as code, run through Railway's own SDK, and held against the programs' settings and the page."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from typing import Any

import pytest
from railway_sdk import create_railway_context

from bot_service.settings import BotSettings
from tests.support.processes import ROOT
from watchdog.settings import WatchdogSettings

FILE = ROOT / ".railway" / "railway.py"
PAGE = (ROOT / "docs" / "railway.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def graph() -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("railway_project", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: dict[str, Any] = module.main(create_railway_context(environment="production")).to_graph()
    return made


def _service(graph: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [item for item in graph["resources"] if item["name"] == name]
    return dict(found)


def test_the_sdk_makes_two_services_of_one_repository(graph: dict[str, Any]) -> None:
    assert [item["address"] for item in graph["resources"]] == ["service.bot", "service.watchdog"]
    assert len({item["source"]["repo"] for item in graph["resources"]}) == 1


@pytest.mark.parametrize("name", ["bot", "watchdog"])
def test_a_service_builds_its_own_dockerfile_and_survives_what_railway_does(graph: dict[str, Any], name: str) -> None:
    service = _service(graph, name)
    build, deploy, variables = service["build"], service["deploy"], service["variables"]

    assert (ROOT / build["dockerfilePath"]).is_file()
    assert variables["RAILWAY_DOCKERFILE_PATH"]["value"] == build["dockerfilePath"]
    for pattern in build["watchPatterns"]:
        assert (ROOT / pattern.lstrip("/").removesuffix("/**")).exists(), pattern
    assert deploy["restartPolicyType"] == "ALWAYS"
    assert deploy["sleepApplication"] is False
    assert deploy["drainingSeconds"] >= 15
    assert deploy["overlapSeconds"] == 0
    assert deploy["numReplicas"] == 1
    assert deploy["healthcheckPath"] == "/health"
    assert "startCommand" not in deploy, "it would replace the entry point that drops root"
    [mounted] = service["volumeAttachments"].values()
    assert mounted["mountPath"] == deploy["requiredMountPath"] == variables["DATA_DIR"]["value"]
    assert variables["RAILWAY_RUN_UID"]["value"] == "0"


def test_the_watchdog_refers_to_the_bot_and_to_its_token(graph: dict[str, Any]) -> None:
    variables = _service(graph, "watchdog")["variables"]

    assert variables["BOT_URL"]["value"] == "http://${{bot.RAILWAY_PRIVATE_DOMAIN}}:${{bot.PORT}}"
    assert variables["WATCHDOG_TOKEN"] == {
        "type": "reference",
        "resource": "service.bot",
        "output": "WATCHDOG_TOKEN",
    }
    assert _service(graph, "bot")["variables"]["PORT"] == {"type": "literal", "value": "3000"}


def test_no_secret_stands_in_the_file(graph: dict[str, Any]) -> None:
    secrets = {
        field.metadata["name"]
        for settings in (BotSettings, WatchdogSettings)
        for field in dataclasses.fields(settings)
        if field.metadata["kind"].secret
    }
    for service in graph["resources"]:
        for name, value in service["variables"].items():
            if name in secrets:
                assert value["type"] in ("preserve", "reference"), name


@pytest.mark.parametrize(("name", "settings"), [("bot", BotSettings), ("watchdog", WatchdogSettings)])
def test_every_variable_is_one_that_the_program_or_railway_reads(
    graph: dict[str, Any], name: str, settings: type[Any]
) -> None:
    known = {field.metadata["name"] for field in dataclasses.fields(settings)}
    given = {variable for variable in _service(graph, name)["variables"] if not variable.startswith("RAILWAY_")}
    assert given - known == set()


def test_the_page_names_every_variable_of_the_file(graph: dict[str, Any]) -> None:
    for service in graph["resources"]:
        for variable in set(service["variables"]) - {"ENGINE"}:
            assert variable in PAGE, variable


def test_there_is_no_railway_json() -> None:
    assert not list(ROOT.glob("railway.*"))


@pytest.mark.parametrize("name", ["Dockerfile.bot", "Dockerfile.watchdog"])
def test_the_dockerfiles_have_nothing_that_railway_refuses(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    instructions = re.sub(r"^#.*$", "", text, flags=re.M)
    assert not re.search(r"^VOLUME|--mount|^# *syntax", instructions, re.M | re.I)
    assert not re.search(r"^# *syntax *=", text, re.M | re.I)
    assert "@sha256" not in text
