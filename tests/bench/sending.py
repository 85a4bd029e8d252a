"""Measures what a sent message costs the API process: `python -m tests.bench.sending [--messages 2000] [--at-once 20]`.

The real program with the simulator and 50 sessions, each message with an Idempotency-Key. Figures: messages a second from the first
request until the last one is sent, API answers, and processor time of the API process for each message, which a busy machine changes
least. `--profile FILE` runs the API process under cProfile.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
import time
from pathlib import Path

from tests.bench.wire import cpu_s, percentiles
from tests.support import processes
from tests.support.processes import Client, Program
from tests.support.sessions import paired
from tests.support.waiting import eventually

SESSIONS = 50
PEOPLE = 40
WARMING = 100
_SENT = re.compile(r'^veilleur_bot_messages_out_total\{state="sent"\} (\S+)$', re.MULTILINE)


async def send_all(client: Client, messages: int, at_once: int, *, begin: int = 0) -> list[float]:
    """Accepts ``messages``, round robin over the sessions. Seconds of each answer."""
    gate = asyncio.Semaphore(at_once)

    async def send(index: int) -> float:
        async with gate:
            begun = time.monotonic()
            body = {"to": f"4915112{index % PEOPLE:06}", "text": f"out {index}"}
            path = f"/api/sessions/s{index % SESSIONS}/messages"
            await client.post(path, body, **{"Idempotency-Key": f"k{index}"})
            return time.monotonic() - begun

    return await asyncio.gather(*(send(index) for index in range(begin, begin + messages)))


async def until_sent(client: Client, count: int) -> None:
    """Wait until the service has sent so many messages."""

    async def all_sent() -> bool:
        _, metrics = await client.call("GET", "/metrics")
        found = _SENT.search(metrics)
        return found is not None and float(found[1]) >= count

    await eventually(all_sent, every_s=0.05, what=f"{count} messages being sent")


async def measure(messages: int, at_once: int, profile: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-sending-") as folder:
        bot: Program = processes.bot(
            Path(folder),
            SEND_PER_MINUTE="0",
            SEND_NEW_CHATS_PER_HOUR="0",
            RECONNECT_PER_MINUTE="100000",
            BOOT_STAGGER="0",
        )
        if profile is not None:
            bot.module, bot.arguments = "cProfile", ("-o", profile, "-m", "bot_service")
        async with bot.running(), Client(bot.url) as client:
            await paired(client, *(f"s{index}" for index in range(SESSIONS)))
            await send_all(client, WARMING, at_once, begin=-WARMING)
            await until_sent(client, WARMING)
            begun, spent_s = time.monotonic(), cpu_s([bot.pid])
            took = await send_all(client, messages, at_once)
            await until_sent(client, WARMING + messages)
            seconds, spent_s = time.monotonic() - begun, cpu_s([bot.pid]) - spent_s
            print(
                f"{messages / seconds:.0f} messages a second, API process {spent_s / messages * 1000:.2f} ms for each; "
                f"answers {percentiles(took)}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--profile")
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.messages, arguments.at_once, arguments.profile))


if __name__ == "__main__":
    main()
