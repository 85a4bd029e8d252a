"""A thread notices a stalled loop: it answers 503, dumps stacks and ends the process."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from shared.loop_guard import EXIT_STALLED, LoopGuard
from tests.support.processes import ROOT, free_port
from tests.support.waiting import eventually

_PROGRAM = """
import asyncio, sys, time
from aiohttp import web
from shared.loop_guard import LoopGuard
from shared.web import livez, ports, server

async def main(port, stall_s, kill_s):
    sockets = ports.listening_sockets("127.0.0.1", port)
    guard = LoopGuard(stamp_s=0.05, dump_s=0.6, kill_s=kill_s)
    answerer = livez.StallResponder(guard, sockets, after_s=0.5)
    app = web.Application()
    app.router.add_get("/livez", livez.handler(guard))
    async def begin(app):
        guard.start(); answerer.start()
        asyncio.get_running_loop().call_later(3.0, time.sleep, stall_s)
        yield
        guard.stop(); answerer.stop()
    app.cleanup_ctx.append(begin)
    await server.serve(app, sockets)

asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
"""


def _look(port: int) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_a_stalled_program_answers_503_from_its_thread_and_200_again_afterwards() -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(port), "8", "60"], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        await eventually(lambda: _look(port)[0] == 200, what="/livez 200")
        _, body = await eventually(lambda: (got := _look(port))[0] == 503 and got, what="/livez 503 in the stall")
        assert body["status"] == "stalled"
        assert int(str(body["loopAgeMs"])) >= 500
        await eventually(lambda: _look(port)[0] == 200, what="/livez 200 after the stall")
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=60)
    assert b"Event loop has not turned" in out
    assert b"time.sleep" in out or b"Current thread" in out or b"most recent call first" in out
    assert process.returncode == 0


async def test_connections_that_send_nothing_do_not_delay_the_answer_of_the_thread() -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(port), "30", "60"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    silent: list[socket.socket] = []
    try:
        await eventually(lambda: _look(port)[0] == 200, what="/livez 200")
        await eventually(lambda: _look(port)[0] == 503, what="/livez 503 in the stall")
        for _ in range(3):
            silent += [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
            silent[-1].sendall(b"GET /livez")  # half a request gets an answer too, and delays no one
            began = time.monotonic()
            assert _look(port)[0] == 503
            # One after the other they would take fifty seconds.
            assert time.monotonic() - began < 10
    finally:
        for each in silent:
            each.close()
        process.kill()
        process.wait(timeout=60)


async def test_a_loop_that_stalls_for_too_long_ends_the_process() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(free_port()), "30", "1"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        await eventually(lambda: process.poll() is not None, what="the end of the process")
        assert process.returncode == EXIT_STALLED
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=60)


async def test_the_lag_of_a_blocked_loop_is_measured() -> None:
    guard = LoopGuard(stamp_s=0.01)
    guard.start()
    try:
        await asyncio.sleep(0.05)
        guard.take_worst_lag_s()
        time.sleep(0.15)  # noqa: ASYNC251 - blocking is what is measured here
        await asyncio.sleep(0.02)
        assert guard.take_worst_lag_s() >= 0.1
        await eventually(lambda: guard.take_worst_lag_s() < 0.1, what="a look that finds no lag any more")
    finally:
        guard.stop()
