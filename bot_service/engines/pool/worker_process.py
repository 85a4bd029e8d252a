"""A worker as an operating system process: started or found running, watched, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

from bot_service.engines import procfs
from bot_service.engines.pool.policy import ClientChoice, PoolPolicy
from bot_service.engines.pool.scheduling_priority import lower_priority
from bot_service.engines.wire import worker_options, worker_records
from shared.redact import redact_text

POLL_S = 0.2
LAST_OUTPUT_BYTES = 4096


class WorkerProcess:
    """``pid`` and ``start_ticks`` identify it: a signal never hits another with its old pid."""

    def __init__(self, pid: int, start_ticks: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid, self.start_ticks = pid, start_ticks
        self._child = child

    @classmethod
    async def spawn(
        cls, policy: PoolPolicy, worker_id: str, *, pairing: bool, client: ClientChoice | None = None
    ) -> WorkerProcess:
        """Starts a worker in a process session of its own, so that it outlives this process.

        Raises ``OSError``.
        """
        return await asyncio.to_thread(cls._spawn, policy, worker_id, pairing, client)

    @classmethod
    def _spawn(cls, policy: PoolPolicy, worker_id: str, pairing: bool, client: ClientChoice | None) -> WorkerProcess:
        path = worker_records.stderr_path(policy.run_dir, worker_id)
        path.unlink(missing_ok=True)
        with path.open("ab") as errors:  # for appending: the worker cuts it
            child = subprocess.Popen(
                [*policy.command, worker_options.encode(policy.worker(worker_id, pairing=pairing, client=client))],
                stdin=subprocess.DEVNULL,
                stderr=errors,
                env=policy.environment,
                start_new_session=True,
            )
        lower_priority(child.pid)
        return cls(child.pid, procfs.start_ticks(child.pid), child)

    def running(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return procfs.alive(self.pid, self.start_ticks)

    @property
    def exit_code(self) -> int | None:
        """Known only for a child process; minus the signal's number when a signal ended it."""
        return self._child.poll() if self._child is not None else None

    async def ended(self) -> None:
        """Returns when the process has ended."""
        try:
            fd = os.pidfd_open(self.pid)
        except OSError:
            # No such call on this system, or the process has ended.
            while self.running():  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
            return
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(fd, gone.set)
        try:
            # The check also notices that another process got the same id.
            while self.running():
                await gone.wait()
                if self.running():
                    await asyncio.sleep(0.01)
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    def terminate(self) -> None:
        """Asks it to close its sessions and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it in any state, even when it is stopped."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def last_output(path: Path) -> str:
    """The end of a worker's standard error without secrets; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LAST_OUTPUT_BYTES))
            return redact_text(file.read().decode(errors="replace")).strip()
    except OSError:
        return ""
