"""docs/tutorial.md as a reader follows it: its commands one after the other, its program, and a bot that answers in the end."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.docs.commands import blocks
from tests.docs.reader_shell import NEEDS_A_NETWORK, run, started, stopped
from tests.support.processes import ROOT
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "tutorial.md"


def program() -> str:
    """What the reader saves as ``bot.py``."""
    (found,) = re.findall(r"^Save this as `bot.py`:\n\n```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return str(found)


@pytest.mark.deep
@pytest.mark.system
@pytest.mark.timeout(300)
@NEEDS_A_NETWORK
async def test_the_tutorial_leads_from_a_clone_to_a_bot_that_answers(
    shell: asyncio.subprocess.Process, clone: Path
) -> None:
    await run(shell, "ip link set lo up")
    (clone / "bot.py").write_text(program())
    ran = []
    for command in (each for block in blocks(PAGE) for each in block):
        assert not command.needs, command
        if command.text.endswith("make up"):
            await started(shell, command.text, clone)
        elif command.text.endswith("&"):
            await run(shell, f"{command.text[:-1]} > bot.log 2>&1 &\nBOT=$!")
            # A reader takes longer than the bot.
            code, _ = await run(shell, "for i in $(seq 100); do curl -s localhost:5000 && break; sleep 0.1; done")
            assert code == 0, (clone / "bot.log").read_text()
        else:
            code, said = await run(shell, command.text)
            assert code == 0, f"{command.text}: exit code {code}\n{said}\n{(clone / 'bot.log').read_text()}"
        ran.append(command.text)

    async def answered() -> bool:
        code, said = await run(shell, "veilleur chats messages shop --json")
        assert code == 0, said
        texts = [(each["direction"], each["text"]) for each in json.loads(said)["messages"]]
        return ("out", "You said: Hello") in texts and ("in", "Hello") in texts

    await eventually(answered, every_s=0.3, what="the answer of the bot")

    async def delivered() -> bool:
        _, said = await run(shell, "veilleur deliveries list --state delivered --json")
        return [(each["type"], each["lastStatus"]) for each in json.loads(said)["deliveries"]] == [("message", 200)]

    await eventually(delivered, every_s=0.3, what="the delivery of the message")
    await run(shell, "kill $BOT")
    await stopped(shell, clone)
    assert len(ran) >= 10
