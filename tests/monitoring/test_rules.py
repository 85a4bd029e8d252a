"""The rules of Prometheus: accepted by promtool, each alert proven to fire and to stay silent, each with a runbook."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.support.monitoring import MONITORING
from tests.support.processes import ROOT

RULES = sorted((MONITORING / "rules").glob("*.yml"))
CASES = sorted((MONITORING / "tests").glob("alerts*.yml"))
SEVERITIES = {"page", "ticket", "none"}


def _alerts() -> dict[str, dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def _promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.prometheus
def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    _promtool("check", "config", str(MONITORING / "prometheus.yml"))
    _promtool("check", "rules", *map(str, RULES))


@pytest.mark.prometheus
@pytest.mark.long
@pytest.mark.parametrize(
    "cases",
    [
        "alerts_by_the_minute.yml",
        # In steps of 15 s: five seconds of processor time and more.
        pytest.param("alerts.yml", marks=pytest.mark.deep),
        pytest.param("alerts_over_hours.yml", marks=pytest.mark.deep),
    ],
)
def test_every_case_of_the_rule_tests_holds(cases: str) -> None:
    _promtool("test", "rules", str(MONITORING / "tests" / cases))


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    cases = [case for path in CASES for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]]
    fires: set[str] = set()
    silent: set[str] = set()
    for check in (check for case in cases for check in case["promql_expr_test"]):
        # A query over all alerts whose answer lists some proves silence for every alert that it does not list.
        named = set(re.findall(r'alertname="(\w+)"', check["expr"]))
        listed = {
            name for sample in check["exp_samples"] for name in re.findall(r'alertname="(\w+)"', sample["labels"])
        }
        if listed:
            silent |= set(_alerts()) - listed
            fires |= listed
        else:
            (fires if check["exp_samples"] else silent).update(named)
    assert set(_alerts()) - fires == set()
    # One alert is meant to fire always.
    assert set(_alerts()) - silent == {"Watchdog"}


@pytest.mark.parametrize("name", sorted(_alerts()))
def test_an_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on(name: str) -> None:
    rule = _alerts()[name]
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"


@pytest.mark.parametrize("page", ["operations.md", "exploitation.fr.md"])
def test_the_runbook_has_a_section_for_every_alert_and_for_no_other(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    sections = set(re.findall(r"^### (\w+)$", text, re.M))
    assert sections == set(_alerts())
