"""The manifests of docs/kubernetes: shaped as Kubernetes wants them, and in step with the programs."""

from __future__ import annotations

import dataclasses
from itertools import chain
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bot_service.settings import BotSettings
from shared.version import VERSION
from tests.support.processes import ROOT
from watchdog.settings import WatchdogSettings

FOLDER = ROOT / "docs" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
# The oldest and the newest that the manifests are checked for.
VERSIONS = ("1.28", "1.33")
SETTINGS = {"veilleur-bot": BotSettings, "veilleur-watchdog": WatchdogSettings}


def documents(path: Path) -> list[dict[str, Any]]:
    return [dict(each) for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


EVERY = list(chain.from_iterable(map(documents, FILES)))
DEPLOYMENTS = [each for each in EVERY if each["kind"] == "Deployment"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_manifest_has_the_shape_of_its_kind(path: Path, version: str) -> None:
    found = [(each["kind"], kubernetes_validate.validate(each, version, strict=True)) for each in documents(path)]
    assert found


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: str(each["metadata"]["name"]))
def test_a_pod_is_confined_ends_in_order_and_is_found_by_its_service(deployment: dict[str, Any]) -> None:
    spec = deployment["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["automountServiceAccountToken"] is False
    assert spec["terminationGracePeriodSeconds"] >= 20
    for container in spec["containers"]:
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
    main = spec["containers"][0]
    assert {main[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")} == {
        "/livez", "/health",
    }  # fmt: skip
    assert main["image"].endswith(f":{VERSION}")
    [service] = [
        each
        for each in EVERY
        if each["kind"] == "Service" and each["metadata"] == {"name": deployment["metadata"]["name"]}
    ]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: str(each["metadata"]["name"]))
def test_every_variable_is_one_of_its_program(deployment: dict[str, Any]) -> None:
    known = {field.metadata["name"] for field in dataclasses.fields(SETTINGS[deployment["metadata"]["name"]])}
    given = {each["name"] for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert given - {"POD_IP"} <= known


def test_replicas_come_and_go_one_at_a_time_and_keep_nothing_on_a_volume() -> None:
    [bot] = [each for each in DEPLOYMENTS if each["metadata"]["name"] == "veilleur-bot"]
    assert bot["spec"]["replicas"] == 3
    assert bot["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 1
    assert not any("persistentVolumeClaim" in each for each in bot["spec"]["template"]["spec"]["volumes"])
    [budget] = [each for each in EVERY if each["kind"] == "PodDisruptionBudget"]
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"] == bot["spec"]["selector"]


def test_the_example_of_a_secret_has_what_replicas_need_and_only_examples() -> None:
    [secret] = documents(FOLDER / "secret.example.yaml")
    assert {"BOT_API_KEY", "WATCHDOG_TOKEN", "DATABASE_URL", "DEVICE_STORE_URL"} <= secret["stringData"].keys()
    given = " ".join(value for name, value in secret["stringData"].items() if name != "DEVICE_STORE_ASYNC")
    assert given.count("change-me") == 5


def test_pgbouncer_is_set_up_as_in_compose_but_for_where_it_listens() -> None:
    [config] = [each for each in EVERY if each["kind"] == "ConfigMap"]
    compose = (ROOT / "docs" / "compose" / "pgbouncer.ini").read_text(encoding="utf-8").partition("\n")[2]
    assert (
        config["data"]["veilleur.ini"].strip() == compose.replace("listen_addr = *", "listen_addr = 127.0.0.1").strip()
    )
