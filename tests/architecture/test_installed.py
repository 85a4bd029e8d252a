"""What is installed is enough and no more: the checks of .ci/check_installed.py, and complete lock files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.ci_modules import ci_module
from tests.support.locked_only import Fence, locked
from tests.support.processes import ROOT
from tests.support.receiver import Receiver

check_installed = ci_module("check_installed")


@pytest.mark.parametrize("program", ["bot_service", "watchdog", "tests"])
def test_a_lock_holds_whatever_its_packages_need(program: str) -> None:
    """pip is called with ``--no-deps``, so nothing else notices a package that is missing."""
    pins = locked(program)
    missing = {}
    for package in pins:
        try:
            said = [Requirement(line) for line in metadata.requires(package) or ()]
        except metadata.PackageNotFoundError:  # for another platform or Python version
            continue
        needed = {
            canonicalize_name(one.name) for one in said if one.marker is None or one.marker.evaluate({"extra": ""})
        }
        missing[package] = needed - check_installed.left_out(package) - pins
    assert {package: names for package, names in missing.items() if names} == {}


@pytest.mark.parametrize("package", ["neonize", "drf-spectacular-sidecar", "apprise"])
def test_what_is_left_out_is_asked_for_by_the_package_and_by_no_program(package: str) -> None:
    left_out = check_installed.left_out(package)
    assert left_out, "a package that asks for no more than it needs needs no entry in pyproject.toml"
    program = "watchdog" if package == "apprise" else "bot_service"
    # The dashboard draws QR codes with segno itself.
    assert left_out & locked(program) <= {"segno"}


def test_the_check_passes_on_what_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/check_installed.py"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "No broken requirements found.\n"), done.stdout


@pytest.mark.parametrize(("line", "refused"), [
    ("neonize 0.5.2 requires phonenumbers, which is not installed.", False),
    ("neonize 0.5.2 requires protobuf, which is not installed.", True),
    ("neonize 0.5.2 has requirement protobuf>=6.32.1, but you have protobuf 5.0.", True),
    ("aiohttp 3.14.5 requires yarl, which is not installed.", True),
])  # fmt: skip
def test_only_what_the_project_leaves_out_may_be_missing(line: str, refused: bool) -> None:
    assert check_installed.unexpected(line) == ([line] if refused else [])


def test_the_pip_that_installs_is_the_one_that_is_tested() -> None:
    environment = ci_module("environment")
    tested = environment.pins(ROOT / "tests/requirements.lock")["pip"]
    assert environment.pins(environment.PIP_LOCK) == {"pip": tested}


async def test_apprise_delivers_without_the_packages_that_are_left_out(tmp_path: Path, receiver: Receiver) -> None:
    fence = Fence(tmp_path / "fence", "watchdog")
    script = (
        "import asyncio\n"
        "from watchdog.notifiers.apprise import AppriseProcess\n"
        f"url = {receiver.url.replace('http://', 'json://')!r}\n"
        "print(asyncio.run(AppriseProcess(limit_s=60).send(url, 'Title', 'Text', 'failure')))\n"
        "import apprise\n"
        "assert apprise.Apprise().add('twitter://Consumer/ConsumerSecret/AccessToken/AccessSecret')\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, env={**os.environ, **fence.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert (process.returncode, out) == (0, b"ok\n"), errors
    assert receiver.requests
    assert not {"click", "yaml"} & {name.partition(".")[0] for name in fence.asked()}
