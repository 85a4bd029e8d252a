"""An engine worker: one process that holds some sessions, journals what arrives and outlives its API process for a while.

``python -m bot_service.engines.worker.main --engine … --id … --run-dir … --data-dir …``. It listens on
``<run dir>/worker-<id>.sock`` and writes ``<run dir>/worker-<id>.json``. It ends with code 0 on SIGTERM, on the command
``shutdown``, or when no API process has spoken to it for the grace period; sessions are closed and drained before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TextIO

from bot_service.engines.registry import ENGINES
from bot_service.engines.worker.host import Worker
from shared import logs
from shared.clock import SystemClock


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line; every number has a default, so that a person can start a worker by hand."""

    def option(text: str) -> tuple[str, str]:
        name, _, value = text.partition("=")
        return name, value

    parser = argparse.ArgumentParser(prog="bot_service.engines.worker.main")
    parser.add_argument("--engine", required=True, choices=sorted(ENGINES))
    parser.add_argument("--id", required=True)
    parser.add_argument("--run-dir", required=True, type=Path)
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--option", action="append", type=option, default=[], metavar="NAME=VALUE")
    parser.add_argument("--client-library", type=Path, help="copy of the native library to load")
    parser.add_argument("--client-build", type=int, default=0, help="the client build that is announced")
    parser.add_argument("--pairing", action="store_true", help="a short-lived worker for one pairing")
    parser.add_argument("--orphan-grace-s", type=float, default=60.0)
    parser.add_argument("--stop-timeout-s", type=float, default=6.0)
    parser.add_argument("--pulse-s", type=float, default=5.0)
    parser.add_argument("--link-limit-bytes", type=int, default=8 * 1024 * 1024)
    parser.add_argument("--journal-rotate-bytes", type=int, default=64 * 1024 * 1024)
    parser.add_argument("--log-format", default="json")
    parser.add_argument("--log-level", default="info")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse(argv)
    out = _own_standard_output()
    logs.configure(args.log_format, args.log_level, out)

    async def run() -> None:
        await Worker(args, SystemClock()).run()
        logs.Unbreakable(out).flush()
        # A native thread that hangs must not keep the process: everything is closed and flushed here, and the end of
        # asyncio.run would wait for such a thread.
        os._exit(0)

    asyncio.run(run())


def _own_standard_output() -> TextIO:
    # Engines print; what they print (numbers, codes) must not reach the log. The log keeps the real output.
    kept = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="replace")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    return kept


if __name__ == "__main__":
    main(sys.argv[1:])
