"""The rules of the map that hold the code together: layers, sizes, one reader of the environment, one clock."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

PACKAGES = ("bot_service", "watchdog", "shared")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_LINES = 400


def _names(path: Path) -> set[str]:
    """Dotted names that the module reads, such as ``os.environ``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _here(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_import_contracts_hold() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_no_module_is_longer_than_the_limit() -> None:
    long = {_here(path): n for path in SOURCES if (n := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES}
    assert long == {}


def test_every_module_says_in_its_first_line_what_it_promises() -> None:
    silent = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if text.strip() and not ast.get_docstring(ast.parse(text)):
            silent.append(_here(path))
    assert silent == []


def test_only_the_settings_reader_reads_the_environment() -> None:
    readers = {_here(path) for path in SOURCES if _names(path) & {"os.environ", "os.getenv", "os.environb"}}
    assert readers <= {"shared/settings.py"}


def test_only_the_clock_asks_for_the_wall_time() -> None:
    askers = {
        _here(path)
        for path in SOURCES
        if _names(path) & {"time.time", "datetime.now", "datetime.utcnow", "time.time_ns"}
    }
    assert askers <= {"shared/clock.py"}


# Only these use the wall clock as it is. The bot service and its workers have a service clock.
WALL_CLOCK = {
    "shared/clock.py",  # the class itself
    "shared/service_clock.py",
    "watchdog/ledger/sqlite.py",  # a gap has a wall time; the watchdog gives its own clock
    "bot_service/engines/neonize/client.py",  # compares with times of the library's database
    "bot_service/engines/neonize/engine.py",  # without a worker, in tests
    "bot_service/engines/simulator/engine.py",
    "bot_service/doctor_replicas.py",
    "bot_service/doctor_version.py",  # shown to people
    "shared/tools/cli/machine_checks.py",
    "shared/tools/cli/show.py",
}


def test_only_named_modules_use_the_wall_clock() -> None:
    users = {
        _here(path) for path in SOURCES if "SystemClock(" in path.read_text() or "class SystemClock" in path.read_text()
    }
    assert users == WALL_CLOCK


def test_no_trigger_of_a_store_reads_the_wall_clock() -> None:
    words = ("CURRENT_TIMESTAMP", "unixepoch(", "julianday(", "strftime('%s'")
    readers = {_here(path) for path in SOURCES if any(word in path.read_text() for word in words)}
    assert readers == {"bot_service/engines/neonize/ratchet_rollback.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_unfinished_is_left(package: str) -> None:
    words = ("NotImplementedError", "TODO", "FIXME", "XXX")
    left = [
        f"{_here(path)}: {word}"
        for path in (ROOT / package).rglob("*.py")
        for word in words
        if word in path.read_text(encoding="utf-8")
    ]
    assert left == []


def test_the_top_level_is_the_one_of_the_design() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if listed.returncode != 0:
        pytest.skip("needs a git checkout with git (.ci/run tests a clone)")
    allowed = {
        *PACKAGES,
        "tests",
        "docs",
        "monitoring",
        "docker-compose.yml",
        "Dockerfile.bot",
        "Dockerfile.watchdog",
        "pyproject.toml",
        "README.md",
        "Makefile",
        "LICENSE",
        "CHANGELOG.md",
        "SECURITY.md",
    }
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= allowed


THREADED = [path for path in SOURCES if _here(path).startswith(("watchdog/ledger/", "bot_service/engines/neonize/"))]


@pytest.mark.parametrize("path", THREADED, ids=_here)
def test_what_runs_in_several_threads_decodes_only_with_decoders_made_at_import(path: Path) -> None:
    """msgspec prepares a type at its first use; two threads that do so at once end the process (decision 0132)."""
    unsafe = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("msgspec."):
            kinds = [
                each.value for each in node.keywords if each.arg == "type" and not isinstance(each.value, ast.Subscript)
            ]
            if kinds or ast.unparse(node.func) == "msgspec.convert":
                unsafe.append(f"line {node.lineno}: {ast.unparse(node)}")
    assert unsafe == []


FACES = [path for path in SOURCES if {"api", "dashboard"} & set(path.relative_to(ROOT).parts[1:2])]


@pytest.mark.parametrize("path", FACES, ids=_here)
def test_no_handler_or_page_reaches_the_store(path: Path) -> None:
    """The use cases own the transactions: see bot_service/{sessions,messages,webhooks}/commands.py."""
    assert not _imports(path) & {"sqlalchemy", "bot_service.store"}
    assert not {name for name in _names(path) if "DATABASE" in name or name.endswith("database.read")}


@pytest.mark.parametrize("path", FACES, ids=_here)
def test_api_and_dashboard_do_not_import_each_other(path: Path) -> None:
    other = {"api": "bot_service.dashboard", "dashboard": "bot_service.api"}[path.relative_to(ROOT).parts[1]]
    assert other not in _imports(path)


def _imports(path: Path) -> set[str]:
    """The modules that a file imports, with every package above them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return {".".join(name.split(".")[:depth]) for name in found for depth in range(1, name.count(".") + 2)}
