"""Stands in for systemctl where no systemd runs: starts and stops what unit files of /etc/systemd/system say.

Usage: ``python systemctl.py start|stop|restart UNIT...``, ``enable --now UNIT...``, ``daemon-reload``. Of a unit it does what the
guide promises: user, folders, environment, files of variables, READY=1 before it returns, SIGTERM to stop. Needs root, in a
mount namespace of its own. It imports nothing of the project: the project is what it starts.
"""

from __future__ import annotations

import configparser
import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

RUN = Path("/run/units")
WITHIN_S = 120.0


def service(unit: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    file = Path("/etc/systemd/system") / f"{unit}.service"
    if not parser.read(file, encoding="utf-8"):
        sys.exit(f"Unit {unit}.service not found.")
    return parser["Service"]


def environment(found: configparser.SectionProxy) -> dict[str, str]:
    words = shlex.split(found["Environment"])
    file = Path(found["EnvironmentFile"].removeprefix("-"))
    if file.exists():
        words += [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    given = dict(word.split("=", 1) for word in words)
    # Not systemd's path: the interpreter of the tests may be elsewhere.
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **given}


def start(unit: str) -> None:
    found, address = service(unit), RUN / f"{unit}.notify"
    user = pwd.getpwnam(found["User"])
    RUN.mkdir(exist_ok=True)
    for name in found["StateDirectory"].split():
        folder = Path("/var/lib") / name
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, user.pw_uid, user.pw_gid)
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        address.chmod(0o666)
        notify.settimeout(WITHIN_S)
        with (RUN / f"{unit}.log").open("ab") as log:
            process = subprocess.Popen(
                shlex.split(found["ExecStart"]), cwd=found["WorkingDirectory"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**environment(found), "NOTIFY_SOCKET": str(address)},
                user=user.pw_uid, group=user.pw_gid, extra_groups=[], umask=int(found["UMask"], 8), start_new_session=True,
            )  # fmt: skip
        (RUN / f"{unit}.pid").write_text(str(process.pid))
        while True:
            if process.poll() is not None:
                sys.exit(f"{unit} ended with {process.returncode}:\n{(RUN / f'{unit}.log').read_text()[-3000:]}")
            notify.settimeout(1.0)
            try:
                if "READY=1" in notify.recv(4096).decode().splitlines():
                    return
            except TimeoutError:
                continue


def stop(unit: str) -> None:
    file = RUN / f"{unit}.pid"
    if not file.exists():
        return
    pid, until = int(file.read_text()), time.monotonic() + int(service(unit)["TimeoutStopSec"])
    os.kill(pid, signal.SIGTERM)
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        if time.monotonic() > until:
            sys.exit(f"{unit} did not stop")
        time.sleep(0.05)
    file.unlink()


def main(words: list[str]) -> None:
    verb, units = words[0], [word for word in words[1:] if not word.startswith("-")]
    if verb not in ("daemon-reload", "enable", "start", "stop", "restart"):
        sys.exit(f"Unknown command verb {verb}.")
    for unit in units if verb in ("stop", "restart") else []:
        stop(unit)
    for unit in units if verb in ("enable", "start", "restart") else []:
        start(unit)


if __name__ == "__main__":
    main(sys.argv[1:])
