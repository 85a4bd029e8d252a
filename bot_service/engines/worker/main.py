"""Starts an engine worker: one process that holds some sessions and journals what arrives.

``python -m bot_service.engines.worker.main OPTIONS``, where OPTIONS is the JSON document of
:class:`~bot_service.engines.wire.worker_options.WorkerOptions`. It listens on
``DATA_DIR/run/worker-<id>.sock`` and writes ``DATA_DIR/run/worker-<id>.json``. It outlives its API
process for the grace period. It ends with code 0 on SIGTERM, on the command ``shutdown`` or after
that period, once its sessions are closed and drained.
"""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec

from bot_service.engines.wire import worker_options
from bot_service.engines.worker.host import Worker
from shared import logs
from shared.log_writer import LogStream
from shared.recent_log import RECENT
from shared.service_clock import system_service_clock


def main(argv: list[str]) -> None:
    try:
        options = worker_options.decode(argv[0] if len(argv) == 1 else "")
    except msgspec.MsgspecError as error:
        sys.exit(f"The worker takes one argument, the JSON document of its options: {error}")
    out = _own_standard_output()
    logs.configure(options.log_format, options.log_level, out, program="worker")
    RECENT.size = 0  # the API process keeps the lines

    async def run() -> None:
        await Worker(options, system_service_clock()).run()
        out.writer.drain()
        # Everything is closed and flushed. A native thread that hangs must not keep the process,
        # and the end of asyncio.run would wait for it.
        os._exit(0)

    asyncio.run(run())


def _own_standard_output() -> LogStream:
    # Engines print, also numbers and codes, which must not reach the log. The log keeps the real
    # output.
    kept = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="replace")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    return LogStream(kept, buffer_bytes=256 * 1024)


if __name__ == "__main__":
    main(sys.argv[1:])
