"""What the programs and the real engine ask of the kernel is what the units allow: each call is recorded and looked up."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.processes import API_KEY, ROOT, WATCHDOG_TOKEN
from tests.support.service_manager import unit

# In a network of its own: WhatsApp is not there, so the engine tries to connect and fails.
SCENE = f"""
set -e
ip link set lo up
export PYTHONPATH={ROOT} HOST=127.0.0.1 LOG_FORMAT=json BOT_API_KEY={API_KEY} WATCHDOG_TOKEN={WATCHDOG_TOKEN}
export SECRETS_DIR=$PWD/secrets WHATSAPP_VERSION=builtin KEEP_ALIVE_START_DELAY=100 ALERT_URLS=json://127.0.0.1:9/
traced() {{ strace -f -qq --signal=none -e trace=all -o "$1.trace" {sys.executable} -m "$1" > "$1.log" 2>&1 & }}
PORT=3000 DATA_DIR=$PWD/bot traced bot_service
PORT=3001 DATA_DIR=$PWD/watchdog traced watchdog
wait_for() {{ for i in $(seq 600); do eval "$1" && return; sleep 0.2; done; echo "never: $1"; exit 1; }}
wait_for 'curl -fsS localhost:3000/health > /dev/null 2>&1'
wait_for 'curl -fsS localhost:3001/health > /dev/null 2>&1'
api() {{ curl -fsS -H "Authorization: Bearer {API_KEY}" localhost:3000/api/sessions"$@"; }}
api '' --json '{{"id": "bob"}}' > /dev/null
wait_for 'api /bob | grep -q RECONNECTING'
curl -fsS -X POST -H "Authorization: Bearer {WATCHDOG_TOKEN}" localhost:3001/api/test-alert > /dev/null
wait_for 'curl -fsS localhost:3001/api/status | grep -q UP'
# The first lines are of the programs themselves, not of strace.
for name in bot_service watchdog; do kill -TERM "$(head -n 1 $name.trace | cut -d' ' -f1)"; done
wait
"""


def why_not() -> str | None:
    for program in ("strace", "systemd-analyze", "unshare", "ip", "curl"):
        if shutil.which(program) is None:
            return f"needs {program} (.ci/run installs it)"
    tried = subprocess.run(
        ["unshare", "--net", "strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    return None if tried.returncode == 0 else "needs root and the right to trace (.ci/run has both)"


@cache
def members(group: str) -> frozenset[str]:
    """The system calls of a group such as ``@system-service``, those of its groups included."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, timeout=60, check=True
    )
    names = [
        line.strip() for line in listed.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")
    ]
    return frozenset().union(*(members(name) if name.startswith("@") else {name} for name in names))


@pytest.mark.system
@pytest.mark.deep
@pytest.mark.timeout(400)
def test_the_units_allow_every_call_and_address_family_that_the_programs_use(tmp_path: Path) -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    ended = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", SCENE],
        cwd=tmp_path, capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr + (tmp_path / "bot_service.log").read_text()[-2000:]
    for name, module in (("bot", "bot_service"), ("watchdog", "watchdog")):
        service, trace = unit(name), (tmp_path / f"{module}.trace").read_text(errors="replace")
        used = set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z]\w+)(?:\(| resumed)", trace, re.M))
        assert {"openat", "socket", "bind"} <= used
        assert used - members(service["SystemCallFilter"]) == set(), name
        families = set(re.findall(r"\bsocket\((AF_\w+)", trace))
        assert families <= set(shlex.split(service["RestrictAddressFamilies"])), name
        assert re.search(r"\bCLONE_NEW", trace) is None, "RestrictNamespaces"
        assert "MemoryDenyWriteExecute" not in service
        if name == "bot":
            # When the engine needs it no more, the unit can have that limit.
            assert "PROT_WRITE|PROT_EXEC" in trace
