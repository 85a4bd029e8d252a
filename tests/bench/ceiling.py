"""How many /health a second one client process gets out of the service and of a bare aiohttp server, by turns (needs wrk).

``python -m tests.bench.ceiling [--seconds 3] [--rounds 3]``
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from tests.support.processes import Program, bot, free_port


async def requests_a_second(url: str, seconds: int, connections: int = 32) -> float:
    line = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"{url}/health"]
    process = await asyncio.create_subprocess_exec(*line, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    found = re.search(r"Requests/sec:\s+([\d.]+)", out.decode())
    assert found is not None, out.decode()
    assert "Non-2xx" not in out.decode(), out.decode()
    return float(found[1])


async def run(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-bench-") as name:
        folder = Path(name)
        port = str(free_port())
        programs = {
            "bot service": bot(folder, LOG_LEVEL="warning"),
            "bare aiohttp": Program("tests.bench.bare", {"PORT": port}, log=folder / "bare.log", arguments=(port,)),
        }
        rates: dict[str, list[float]] = {what: [] for what in programs}
        try:
            for program in programs.values():
                program.start()
                await program.ready()
            for _ in range(args.rounds):
                for what, program in programs.items():
                    rates[what].append(await requests_a_second(program.url, args.seconds))
        finally:
            for program in programs.values():
                program.close()
    ours, bare = (statistics.median(each) for each in rates.values())
    print(
        f"| `/health` a second, median of {args.rounds} | {ours:.0f}; bare aiohttp {bare:.0f}: {ours / bare:.2f} | >= 0.8 |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(run(parser.parse_args()))
