"""``python -m tests.watchdog.crash_process``: a watchdog that dies by SIGKILL at a chosen step between decision and delivery.

It reads one JSON object a line from standard input and answers with one a line. Each is a run: a forked process with the
real ledger file, pipeline, dispatcher and webhook channel. ``kill_at`` is the number of the step at which it kills
itself; without it the run goes to its end and reports how many steps there are. ``steps`` is ``statements`` (before every
SQL statement of the writer, before and after every send), ``lines`` (before each line of our code, once per phase) or
``none``.

Nothing in the programs themselves knows of this: steps are seen by SQLite's trace hook and Python's own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from shared import logs
from shared.clock import SystemClock, epoch_ms
from shared.settings import Secret
from shared.tasks import TaskGroupOfLoops
from tests.support.waiting import eventually
from watchdog.domain.outcome import Attempt, Cause, Outcome, ProbeResult
from watchdog.domain.policy import Policy
from watchdog.domain.ports import Delivered
from watchdog.domain.states import Notice, State
from watchdog.flow.dispatcher import Dispatcher
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import outbox, runs
from watchdog.ledger.sqlite import Ledger, open_ledger
from watchdog.metrics.delivery import DeliveryMetrics
from watchdog.notifiers.webhook import WebhookNotifier

ROOT = Path(__file__).resolve().parents[2]
TRACED = tuple(
    str(ROOT / "watchdog" / part)
    for part in (
        "flow/pipeline.py",
        "flow/dispatcher.py",
        "ledger/",
        "notifiers/webhook.py",
        "domain/alert.py",
        "domain/notices.py",
    )
)
RUN_LIMIT_S = 60.0


class Steps:
    """Counts steps and dies at the chosen one. Steps count only between :meth:`begin` and the end of the run."""

    def __init__(self, kind: str, kill_at: int | None) -> None:
        self.kind, self._kill_at = kind, kill_at
        self.number = 0
        self.names: list[str] = []
        self.phase = ""
        self._seen: set[tuple[str, str, int]] = set()
        self._lock = threading.Lock()

    def step(self, name: str) -> None:
        if not self.phase:
            return
        with self._lock:
            self.number += 1
            self.names.append(f"{self.phase} {name}")
            if self.number == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch_statements(self, ledger: Ledger) -> None:
        if self.kind == "statements":
            ledger._writer.set_trace_callback(lambda sql: self.step(" ".join(sql.split())[:60]))

    def watch_lines(self) -> None:
        if self.kind == "lines":
            threading.settrace(self._trace)
            sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(TRACED):
            return None
        if event == "line":
            key = (self.phase, frame.f_code.co_filename, frame.f_lineno)
            if key not in self._seen:
                self._seen.add(key)
                self.step(f"{Path(key[1]).name}:{key[2]}")
        return self._trace


class Stepping:
    """The webhook channel, with a step before and after every send."""

    def __init__(self, notifier: WebhookNotifier, steps: Steps) -> None:
        self._notifier, self._steps = notifier, steps
        self.channel, self.label = notifier.channel, notifier.label

    async def send(self, notice: Notice) -> Delivered:
        if self._steps.kind == "statements":
            self._steps.step("before the send")
        delivered = await self._notifier.send(notice)
        if self._steps.kind == "statements":
            self._steps.step("after the send")
        return delivered


class World:
    """Whether the bot is really up, kept over the watchdog's deaths; the bot comes back once DOWN was decided and sent."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def up(self) -> bool:
        return self._path.exists()

    def bot_comes_back(self) -> None:
        self._path.touch()


def _ping(up: bool, clock: SystemClock) -> ProbeResult:
    now = epoch_ms(clock)
    outcome, reason = (Outcome.OK, "ok") if up else (Outcome.TARGET_FAIL, "connect_refused")
    return ProbeResult(
        target="bot",
        cause=Cause.CONFIRM,
        started_at_ms=now - 1,
        at_ms=now,
        outcome=outcome,
        reason=reason,
        latency_ms=1.0 if up else None,
        attempts=(Attempt(1, now - 1, 1.0, outcome, reason),),
        duration_ms=1,
    )


async def _run(order: dict[str, Any], steps: Steps) -> None:
    folder = Path(order["folder"])
    clock, ledger, world = SystemClock(), open_ledger(folder / "watchdog.db"), World(folder / "bot-is-up")
    steps.watch_statements(ledger)
    steps.watch_lines()
    steady_time = SteadyTime(clock)
    async with aiohttp.ClientSession() as http:
        notifier = Stepping(WebhookNotifier(Secret(order["url"]), http, clock), steps)
        dispatcher = Dispatcher(ledger, [notifier], [], clock, DeliveryMetrics(CollectorRegistry()))
        pipeline = Pipeline(
            ledger=ledger,
            steady_time=steady_time,
            policy=Policy(threshold=3, recovery=2),
            channels=dispatcher.channels,
            boot_id=os.urandom(8).hex(),
            targets=("bot",),
        )
        pipeline.decided.subscribe(lambda decided: dispatcher.wake() if decided.notices else None)
        last_seen = await ledger.write(lambda c: runs.begin_run(c, os.urandom(8).hex(), "0", ("bot",), epoch_ms(clock)))
        await pipeline.start(last_seen)
        await dispatcher.recover()
        loops = TaskGroupOfLoops(clock)
        dispatcher.start(loops)
        try:
            if not world.up:
                steps.phase = "DOWN"
                await _until(pipeline, ledger, clock, State.DOWN, up=False)
                world.bot_comes_back()
            steps.phase = "UP"
            await _until(pipeline, ledger, clock, State.UP, up=True)
            steps.phase = ""
        finally:
            await loops.stop()
    ledger.close()


async def _until(pipeline: Pipeline, ledger: Ledger, clock: SystemClock, state: State, *, up: bool) -> None:
    """Ping until ``state`` is decided, then wait until all was sent. A pause lets the dispatcher take its turn."""
    while pipeline.state("bot").reach is not state:
        await pipeline.process("bot", _ping(up, clock))

    async def all_sent() -> bool:
        return (await ledger.read(lambda c: outbox.depth(c, epoch_ms(clock)))).rows == 0

    await eventually(all_sent, within_s=RUN_LIMIT_S, every_s=0.003, what="the delivery of all notices")


def _child(order: dict[str, Any], answer: int) -> None:
    logs.configure("json", "error")
    steps = Steps(order["steps"], order.get("kill_at"))
    asyncio.run(asyncio.wait_for(_run(order, steps), RUN_LIMIT_S))
    os.write(answer, json.dumps({"steps": steps.number, "names": steps.names}).encode())


def main() -> None:
    # A forked run shares what is loaded already; the collector would touch, and so copy, every page of it.
    gc.disable()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            code = 1
            try:
                _child(order, writer)
                code = 0
            except BaseException as error:
                print(f"run failed: {error!r}", file=sys.stderr)
            finally:
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            answer_text = pipe.read()
        _, status = os.waitpid(pid, 0)
        result = {"code": os.waitstatus_to_exitcode(status), **(json.loads(answer_text) if answer_text else {})}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
