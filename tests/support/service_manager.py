"""Plays systemd for one program: its unit file as it stands, a socket for its notices, and its environment."""

from __future__ import annotations

import configparser
import contextlib
import shlex
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import ROOT, Program

UNITS = ROOT / "docs" / "systemd"
INSTALLED = "/opt/veilleur"


def unit(name: str) -> configparser.SectionProxy:
    """The section ``[Service]`` of ``veilleur-<name>.service``."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / f"veilleur-{name}.service", encoding="utf-8")
    return parser["Service"]


def environment(name: str, state: Path) -> dict[str, str]:
    """What the unit's ``Environment=`` sets, with ``state`` instead of /var/lib/veilleur."""
    words = shlex.split(unit(name)["Environment"])
    return {
        key: value.replace("/var/lib/veilleur", str(state)) for key, _, value in (word.partition("=") for word in words)
    }


def program(name: str, state: Path, log: Path, **env: str) -> Program:
    """The program that the unit's ``ExecStart=`` starts, with this interpreter instead of the installed one."""
    python, flag, module = shlex.split(unit(name)["ExecStart"])
    assert (python, flag) == (f"{INSTALLED}/.venv/bin/python", "-m")
    return Program(module, {**environment(name, state), **env}, log=log)


class NotifySocket:
    """The datagram socket of systemd. ``texts`` are the datagrams received so far, with the time of each."""

    def __init__(self, path: Path, *, abstract: bool = False) -> None:
        self.address = f"@{path}" if abstract else str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{path}" if abstract else str(path))
        self._received: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def texts(self) -> list[str]:
        self._receive()
        return [text for _, text in self._received]

    def count(self, notice: str, *, since: float = 0.0) -> int:
        """Datagrams with the line ``notice`` that were read after ``since`` (monotonic)."""
        return sum(at >= since for at in self.times(notice))

    def times(self, notice: str) -> list[float]:
        """When each datagram with the line ``notice`` was read (monotonic)."""
        self._receive()
        return [at for at, text in self._received if notice in text.splitlines()]

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._received.append((time.monotonic(), self._socket.recv(4096).decode()))
