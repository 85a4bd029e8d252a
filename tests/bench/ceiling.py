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


def ran_s(program: Program) -> float:
    """Seconds that the server's thread has had a core, by the kernel: other programs take away from the rate, not from this."""
    return int(Path(f"/proc/{program.pid}/schedstat").read_text().split()[0]) / 1e9


async def asked(program: Program, seconds: int, connections: int = 32) -> tuple[float, float]:
    """(requests a second, microseconds of the server's thread for each)."""
    line = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"{program.url}/health"]
    before_s = ran_s(program)
    process = await asyncio.create_subprocess_exec(*line, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    found = re.search(r"Requests/sec:\s+([\d.]+)", out.decode())
    count = re.search(r"(\d+) requests in", out.decode())
    assert found is not None, out.decode()
    assert count is not None, out.decode()
    assert "Non-2xx" not in out.decode(), out.decode()
    return float(found[1]), (ran_s(program) - before_s) / int(count[1]) * 1e6


async def run(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-bench-") as name:
        folder = Path(name)
        port = str(free_port())
        programs = {
            "bot service": bot(folder, LOG_LEVEL="warning"),
            "bare aiohttp": Program("tests.bench.bare", {"PORT": port}, log=folder / "bare.log", arguments=(port,)),
        }
        seen: dict[str, list[tuple[float, float]]] = {what: [] for what in programs}
        try:
            for program in programs.values():
                program.start()
                await program.ready()
            for _ in range(args.rounds):
                for what, program in programs.items():
                    seen[what].append(await asked(program, args.seconds))
        finally:
            for program in programs.values():
                program.close()
    (ours, ours_us), (bare, bare_us) = (map(statistics.median, zip(*each, strict=True)) for each in seen.values())
    print(
        f"| `/health` a second, median of {args.rounds} | {ours:.0f}; bare aiohttp {bare:.0f}: {ours / bare:.2f} | >= 0.8 |"
    )
    print(
        f"| — CPU of the server's thread for each | {ours_us:.0f} us; bare {bare_us:.0f} us: {bare_us / ours_us:.2f} | |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    asyncio.run(run(parser.parse_args()))
