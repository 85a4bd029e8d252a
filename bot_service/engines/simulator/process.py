"""Faults of the whole worker process; they happen just after the answer."""

from __future__ import annotations

import os
import resource
import signal
import time
from typing import Any

from bot_service.engines.port import EngineError
from bot_service.engines.simulator.arguments import Arguments
from bot_service.engines.simulator.world import World

ANSWER_FIRST_S = 0.05


def crash(world: World, args: Arguments) -> dict[str, Any]:
    """The process dies by ``signal``, as a native crash kills it."""
    name = args.choice("signal", "SIGKILL", "SIGKILL", "SIGSEGV", "SIGABRT")
    args.end()
    world.timers.after(ANSWER_FIRST_S, os.kill, os.getpid(), signal.Signals[name])
    return {"pid": os.getpid(), "signal": name}


def wedge(world: World, args: Arguments) -> dict[str, Any]:
    """The process hangs: stopped as a whole, or only its event loop for ``seconds``."""
    how = args.choice("how", "stop", "stop", "loop")
    seconds = args.number("seconds", 0.1, 3600) or 60.0
    args.end()
    if how == "stop":
        world.timers.after(ANSWER_FIRST_S, os.kill, os.getpid(), signal.SIGSTOP)
    else:
        world.timers.after(ANSWER_FIRST_S, time.sleep, seconds)
    return {"pid": os.getpid(), "how": how}


def leak(world: World, args: Arguments) -> dict[str, Any]:
    """The process takes memory or descriptors and never gives them back."""
    megabytes, descriptors = args.whole("megabytes", 0, 0, 4096), args.whole("descriptors", 0, 0, 100_000)
    args.end()
    if megabytes:
        # Every page is written to, so that it counts as resident.
        world.leaked.append(bytearray(os.urandom(4096) * (megabytes * 256)))
    try:
        world.leaked_descriptors.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(descriptors))
    except OSError as error:
        raise EngineError("internal", f"no more descriptors: {error.strerror}") from error
    return {"megabytes": sum(map(len, world.leaked)) // 2**20, "descriptors": len(world.leaked_descriptors)}


def disk_full(world: World, args: Arguments) -> dict[str, Any]:
    """No file of this process can grow for ``seconds``, as on a full disk."""
    seconds = args.number("seconds", 0.1, 3600) or 10.0
    args.end()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    world.timers.after(ANSWER_FIRST_S, resource.setrlimit, resource.RLIMIT_FSIZE, (0, hard))
    world.timers.after(ANSWER_FIRST_S + seconds, resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
    return {"seconds": seconds}
