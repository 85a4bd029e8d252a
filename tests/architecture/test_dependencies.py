"""Lock files: hashed, without addresses, one resolution; no package that would shadow ours; licences that allow it."""

from __future__ import annotations

import re
import tomllib
from email.message import Message
from importlib import metadata
from typing import cast

import pytest

from tests.support.processes import ROOT

LOCKS = {name: ROOT / name / "requirements.lock" for name in ("bot_service", "watchdog", "tests")}
_PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(?P<version>\S+)", re.M)
# Words of licences under which a dependency may be used by an MIT project without copying it.
_ALLOWED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|Unlicense|Zlib|HPND|CC0|0BSD|LGPL|Public Domain", re.I
)


def _pins(name: str) -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for match in _PIN.finditer(LOCKS[name].read_text(encoding="utf-8")):
        pins.setdefault(match["name"], set()).add(match["version"])
    return pins


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_with_hashes_and_names_no_address(name: str) -> None:
    text = LOCKS[name].read_text(encoding="utf-8")
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert entries
    assert all("==" in line for line in entries)
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(entries)
    assert "://" not in text
    assert "--index" not in text


def test_the_three_locks_are_one_resolution() -> None:
    everything = _pins("tests")
    for name in ("bot_service", "watchdog"):
        for package, versions in _pins(name).items():
            assert versions <= everything[package], package


@pytest.mark.parametrize("name", LOCKS)
def test_no_dependency_is_called_like_a_package_of_ours(name: str) -> None:
    assert not {"watchdog", "shared", "bot-service", "tests"} & set(_pins(name))


def test_the_watchdog_stays_light() -> None:
    heavy = {"sqlalchemy", "neonize", "alembic", "aiosqlite", "pillow", "protobuf", "phonenumbers"}
    assert not heavy & set(_pins("watchdog"))


def test_the_engine_is_pinned_exactly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [engine] = [line for line in project["optional-dependencies"]["bot"] if line.startswith("neonize")]
    assert re.fullmatch(r"neonize==\d+\.\d+\.\d+", engine)


def _licence(distribution: metadata.Distribution) -> str:
    about = cast(Message, distribution.metadata)
    classifiers = [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    return " ".join([about.get("License-Expression") or "", (about.get("License") or "")[:400], *classifiers]).strip()


@pytest.mark.parametrize("name", ["bot_service", "watchdog"])
def test_licences_of_what_we_ship_allow_it(name: str) -> None:
    refused = {}
    for package in _pins(name):
        try:
            words = _licence(metadata.distribution(package))
        except metadata.PackageNotFoundError:  # for another platform or Python version
            continue
        if words and not _ALLOWED.search(words):
            refused[package] = words[:100]
    assert refused == {}
