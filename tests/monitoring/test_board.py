"""The Grafana board as Grafana reads it: whole by the SDK's own types, laid out without overlaps, fed by what is provisioned."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from tests.support.monitoring import MONITORING

BOARD: dict[str, Any] = json.loads((MONITORING / "grafana" / "boards" / "veilleur.json").read_text(encoding="utf-8"))
PROVISIONING = MONITORING / "grafana" / "provisioning"
GRID_WIDTH = 24


def provisioned(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROVISIONING / folder / "veilleur.yml").read_text(encoding="utf-8"))
    return found


def test_the_types_of_grafana_take_the_board_and_give_it_back_whole() -> None:
    read = dashboard.Dashboard.from_json(BOARD)
    assert json.loads(JSONEncoder(sort_keys=True).encode(read)) == BOARD


def test_no_two_panels_overlap_and_none_leaves_the_grid() -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in BOARD["panels"]]
    for title, place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= GRID_WIDTH, title
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, f"{one} and {other}"


@pytest.mark.parametrize(
    "panel", [each for each in BOARD["panels"] if each["type"] != "row"], ids=lambda panel: panel["title"]
)
def test_every_panel_says_what_it_shows_and_asks_what_is_provisioned(panel: dict[str, Any]) -> None:
    [source] = provisioned("datasources")["datasources"]
    assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
    assert len(panel["description"]) > 5
    assert panel["targets"]


def test_the_board_is_read_from_where_compose_puts_it() -> None:
    [provider] = provisioned("dashboards")["providers"]
    compose = yaml.safe_load((MONITORING.parent / "docker-compose.yml").read_text(encoding="utf-8"))
    mounts = dict(volume.split(":")[1::-1] for volume in compose["services"]["grafana"]["volumes"])
    assert mounts[provider["options"]["path"]] == "./monitoring/grafana/boards"
