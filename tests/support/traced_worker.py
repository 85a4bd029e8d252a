"""An engine worker that writes every call of a function of ours to a file: ``python -m tests.support.traced_worker FILE …``."""

from __future__ import annotations

import sys

from bot_service.engines.worker.main import main
from tests.support.tracer import Call, Tracer


class _Writer(list[Call]):
    def __init__(self, file: str) -> None:
        super().__init__()
        self._out = open(file, "a", buffering=1)  # noqa: SIM115  closed with the process

    def append(self, call: Call) -> None:
        self._out.write(f"{call.at_ns}\t{call.name}\t{call.caller}\n")


if __name__ == "__main__":
    tracer = Tracer()
    tracer.calls = _Writer(sys.argv[1])
    tracer.start()
    main(sys.argv[2:])
