"""The checks of docs/verify-webhooks.md, as they stand there, against requests that the service really sent."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared import webhook_signing
from tests.support.bot_app import running
from tests.support.processes import ROOT
from tests.support.receiver import Received, Receiver

PAGE = ROOT / "docs" / "verify-webhooks.md"

# What reads a list of [secret, headers, body in base64] and prints a list of true and false, behind the code of the page.
_PYTHON = """
import json
import sys

print(json.dumps([is_from_veilleur(s, h, base64.b64decode(b)) for s, h, b in json.load(sys.stdin)]))
"""
_JAVASCRIPT = """
const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(([s, h, b]) => isFromVeilleur(s, h, Buffer.from(b, "base64")))));
"""
_PHP = """
$cases = json_decode(file_get_contents('php://stdin'), true);
echo json_encode(array_map(fn($case) => is_from_veilleur($case[0], $case[1], base64_decode($case[2])), $cases));
"""
LANGUAGES = {
    "python": (sys.executable, "check.py", _PYTHON),
    "js": ("node", "check.js", _JAVASCRIPT),
    "php": ("php", "check.php", _PHP),
}


def code_of(language: str) -> str:
    """The one block of ``language`` on the page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return str(found)


def changed(got: Received, **headers: str) -> Received:
    return replace(got, headers=got.headers | headers)


async def sent(tmp_path: Path, receiver: Receiver) -> tuple[list[str], Received]:
    """The secrets of a webhook, oldest first, and a test event that it got during the overlap of the last two."""
    async with running(tmp_path / "data", WEBHOOK_ALLOW_PRIVATE="true") as bot:
        _, made = await bot.call("POST", "/api/webhooks", {"url": receiver.url})
        secrets = [made["secret"]]
        for overlap in (0, 3_600_000):
            path = f"/api/webhooks/{made['id']}/secret"
            secrets.append((await bot.call("POST", path, {"overlap": overlap}))[1]["secret"])
        await bot.call("POST", f"/api/webhooks/{made['id']}/test")
    (got,) = receiver.requests
    lowered = {name.lower(): value for name, value in got.headers.items()}
    return secrets, replace(got, headers={name: lowered[name] for name in lowered if name.startswith("webhook-")})


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_check_accepts_what_was_sent_and_refuses_everything_else(
    tmp_path: Path, receiver: Receiver, language: str
) -> None:
    program, name, driver = LANGUAGES[language]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program} (.ci/run has Node.js and installs PHP)")
    (ended, old, new), got = await sent(tmp_path, receiver)
    other_id, no_signature = changed(got, **{"webhook-id": "other"}), changed(got, **{"webhook-signature": ""})
    cases: list[tuple[str, Received, bool]] = [
        (new, got, True),
        (old, got, True),
        (ended, got, False),
        (new, replace(got, raw=got.raw + b" "), False),
        (new, other_id, False),
        (new, no_signature, False),
        (new, changed(got, **{"webhook-signature": "v1,AAAA v1a,abc"}), False),
        (new, changed(got, **{"webhook-timestamp": "soon"}), False),
        (new, changed(got, **{"webhook-timestamp": str(int(got.headers["webhook-timestamp"]) - 301)}), False),
        (new, recorded(new, got, -301), False),
        (new, recorded(new, got, -200), True),
    ]
    (tmp_path / name).write_text(code_of(language) + driver)
    found = await answers(program, tmp_path / name, cases)
    assert found == [right for _, _, right in cases]


def recorded(secret: str, got: Received, seconds: int) -> Received:
    """``got`` as it was signed by ``secret`` so many seconds later."""
    at = int(got.headers["webhook-timestamp"]) + seconds
    key = webhook_signing.key_of(secret)
    return replace(got, headers=webhook_signing.headers(key, got.headers["webhook-id"], at, got.raw))


async def answers(program: str, file: Path, cases: list[tuple[str, Received, bool]]) -> Any:
    given = [[secret, got.headers, base64.b64encode(got.raw).decode()] for secret, got, _ in cases]
    process = await asyncio.create_subprocess_exec(
        program, str(file), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0, err.decode()
    return json.loads(out)
