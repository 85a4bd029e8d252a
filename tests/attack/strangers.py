"""The attackers, a process of their own: ``python -m tests.attack.strangers NAME PORT GUARDED`` until standard input ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys

from tests.attack.attacks import ATTACKS, Target


async def _main(name: str, target: Target) -> None:
    attacking = asyncio.create_task(ATTACKS[name].run(target))
    print("attacking", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    attacking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await attacking


if __name__ == "__main__":
    os.nice(10)  # attackers have a machine of their own
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    asyncio.run(_main(sys.argv[1], Target(int(sys.argv[2]), sys.argv[3])))
