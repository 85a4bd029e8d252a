"""From clone to dashboard: ``git clone`` and ``make up``, until both programs answer.

``python -m tests.bench.installation [--commits HEAD ...] [--rounds 3]``; the commits take turns. pip keeps no cache, so every
package is downloaded. ENGINE=simulator, so no program of this project reaches an outside host.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ROOT, free_port

LIMIT_S = 600.0


@dataclass(frozen=True)
class Run:
    """Seconds from the start of ``git clone``, processor seconds, size of the environment in MB."""

    installed_s: float
    dashboard_s: float
    processor_s: float
    size_mb: float


def run(commit: str, folder: Path) -> Run:
    clone = folder / "veilleur"
    before, began = _processor_s(), time.monotonic()
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, clone], check=True)
    subprocess.run(["git", "-C", clone, "checkout", "-q", commit], check=True)
    ports = {"PORT": str(free_port()), "WATCHDOG_PORT": str(free_port())}
    environ = {
        **os.environ,
        **ports,
        "ENGINE": "simulator",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    for inherited in ("MAKEFLAGS", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        environ.pop(inherited, None)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            ["make", "up"], cwd=clone, env=environ, stdout=output, stderr=output, start_new_session=True
        )
        try:
            installed = _until(lambda: (clone / ".venv" / ".runs").exists(), process, began)
            dashboard = _until(lambda: all(_answers(port) for port in ports.values()), process, began)
        except AssertionError as error:
            raise AssertionError(f"{error}: {(folder / 'output').read_text()[-2000:]}") from None
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
    size = sum(file.lstat().st_size for file in (clone / ".venv").rglob("*")) / 1e6
    return Run(installed, dashboard, _processor_s() - before, size)


def _until(done: Callable[[], bool], process: subprocess.Popen[bytes], began: float) -> float:
    while not done():
        assert process.poll() is None, f"make up ended with exit code {process.returncode}"
        assert time.monotonic() - began < LIMIT_S, "make up takes too long"
        time.sleep(0.05)
    return time.monotonic() - began


def _answers(port: str) -> bool:
    """The front page; a redirection to the login page is followed."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", nargs="+", default=["HEAD"])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(
        "| commit | installed, s | dashboard, s | processor, s | environment, MB | load |\n|---|---|---|---|---|---|",
        flush=True,
    )
    runs: dict[str, list[Run]] = {commit: [] for commit in arguments.commits}
    for _ in range(arguments.rounds):
        for commit in arguments.commits:
            with tempfile.TemporaryDirectory(prefix="veilleur-install-") as folder:
                found = run(commit, Path(folder))
            runs[commit].append(found)
            _show(commit, found)
    for commit, all_of_it in runs.items():
        columns = zip(
            *((found.installed_s, found.dashboard_s, found.processor_s, found.size_mb) for found in all_of_it),
            strict=True,
        )
        _show(f"{commit}, median", Run(*map(statistics.median, columns)))


def _show(name: str, found: Run) -> None:
    figures = f"{found.installed_s:.1f} | {found.dashboard_s:.1f} | {found.processor_s:.1f} | {found.size_mb:.0f}"
    print(f"| {name} | {figures} | {os.getloadavg()[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
