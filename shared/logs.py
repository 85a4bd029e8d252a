"""Sets up logging: a JSON line per event on standard output, or a console, without secrets."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import MutableMapping
from functools import partial
from typing import Any, TextIO

from shared.log_budget import LogBudget
from shared.log_writer import LogStream
from shared.recent_log import RECENT, LogLine
from shared.redact import redact_text, redact_value
from shared.visible import shown

# structlog loads rich where it is installed, for tracebacks in colour. Exceptions are formatted before they get there,
# so rich would only cost every process 5 MB and 0.1 s.
try:
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    import structlog
finally:
    if sys.modules["rich"] is None:
        del sys.modules["rich"]

Event = MutableMapping[str, Any]
_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")

# By level, the symbols that users of the original program know.
_SYMBOLS = {"debug": "·", "info": "✅", "warning": "⚠️ ", "error": "❌", "critical": "🚨"}
# Lines of programs that share a terminal differ by name and colour (of ANSI terminals).
_LABEL_WIDTH = len("watchdog")
_COLOURS = {"bot": 36, "watchdog": 35, "worker": 34}
# JSON escapes these.
_BREAKS = "\n\r\t"
_KEPT = frozenset({"level", "time", "event"})
# Which session a line is about, before it is redacted: an id may be a telephone number.
_SESSION = "_session"


class TolerantStream:
    """A stream that drops what cannot be written: a full disk must not end the program."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            pass

    def isatty(self) -> bool:
        return self._stream.isatty()


def configure(
    log_format: str = "auto", level: str = "info", stream: TextIO | LogStream | None = None, *, program: str = ""
) -> None:
    """Set up structlog and the standard library's logging once per process.

    ``log_format`` is ``auto`` (console on a terminal, JSON otherwise), ``console`` or ``json``.
    Everything goes to standard output: platforms read standard error as errors. ``program`` begins
    each line of the console and is a field of each JSON line: several programs may share one output.
    """
    out: Any = _unblocked(stream or sys.stdout)
    budget = LogBudget()
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    render = _console(out, program) if console else partial(_to_json, program=program)
    if isinstance(out, LogStream):
        out.writer.lost_note = lambda lost: _lost_note(lost, program, console=console)
    processors: list[Any] = [
        _allowed_by(budget),
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _stamp,
        _redact,
    ]
    processors += [_charged_to(budget, _symbol if console else None, render, out, program)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _route_standard_logging(level)
    threading.excepthook = _log_thread_exception
    sys.unraisablehook = _log_unraisable


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger. Call it as ``log.info("A sentence", event_name="dotted.noun", field=…)``."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(source=name)
    return logger


def _unblocked(stream: TextIO | LogStream) -> Any:
    """A stream that never makes a caller wait, where ``stream`` is a file of the system."""
    if isinstance(stream, LogStream):
        return stream
    try:
        stream.fileno()
    except (OSError, ValueError, AttributeError):
        return TolerantStream(stream)
    return LogStream(stream)


def _cause(event: Event) -> str:
    return str(event.get("event_name") or event.get("source") or str(event.get("event"))[:40])


def _allowed_by(budget: LogBudget) -> Any:
    def allowed(_logger: Any, method: str, event: Event) -> Event:
        # First, so that a flood costs little more than this.
        if event.get("event_name") == "library.log":
            event["event_name"] = f"library.log:{event.get('source')}"[:60]
        if not budget.allows(_cause(event), calm=method in ("debug", "info")):
            raise structlog.DropEvent
        return event

    return allowed


def _charged_to(budget: LogBudget, symbol: Any, render: Any, out: Any, program: str) -> Any:
    def one(event: Event) -> str:
        kept = {name: str(event.get(name) or "") for name in ("time", "level", "event_name")}
        session = event.pop(_SESSION, None)
        line = _to_json(None, "", dict(event), program=program) if symbol else ""
        text = str(render(None, "", symbol(None, "", event) if symbol else event))
        RECENT.add(LogLine(kept["time"], kept["level"], kept["event_name"], session, line or text))
        return text

    def charged(_logger: Any, _method: str, event: Event) -> str:
        cause = _cause(event)
        if str(event.get("event_name", "")).startswith("library.log:"):
            event["event_name"] = "library.log"
        text = one(event)
        budget.spend(cause, len(text))
        for name, number in budget.take_left_out().items():
            out.write(one(_note(f"{number} more lines of {name} were left out", "log.left_out", lines=number)) + "\n")
        return text

    return charged


def _note(sentence: str, name: str, **fields: Any) -> Event:
    note: Event = {"event": sentence, "level": "warning", "event_name": name, **fields}
    return _stamp(None, "", note)


def _lost_note(lost: int, program: str, *, console: bool) -> str:
    note = _note(f"{lost} lines of the log were lost: nothing took them", "log.lost", lines=lost)
    return f"{_label(program)}{note['time']} {note['event']}" if console else _to_json(None, "", note, program=program)


def _log_thread_exception(args: Any) -> None:
    if args.exc_type is not SystemExit:
        get(__name__).error(
            "A thread ended with an error",
            event_name="thread.failed",
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )


def _log_unraisable(args: Any) -> None:
    get(__name__).error(
        f"An error could not be raised: {args.err_msg or type(args.exc_value).__name__}",
        event_name="error.unraisable",
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )


def _redact(_logger: Any, _method: str, event: Event) -> Event:
    session = event.get("session")
    for key, value in list(event.items()):
        if key == "event":
            event[key] = shown(redact_text(str(value)), keep=_BREAKS)
        elif key not in _KEPT and key != "event_name":
            event[key] = _visible(redact_value(key, value))
    if session is not None:
        event[_SESSION] = str(session)
    return event


def _visible(value: Any, keep: str = _BREAKS) -> Any:
    if isinstance(value, str):
        return shown(value, keep=keep)
    if isinstance(value, dict):
        return {shown(str(name), keep=keep): _visible(each, keep) for name, each in value.items()}
    return [_visible(each, keep) for each in value] if isinstance(value, list) else value


def _to_json(_logger: Any, _method: str, event: Event, *, program: str = "") -> str:
    import msgspec  # imported late to keep this module light

    sentence = event.pop("event", "")
    line = {"message": sentence, "level": event.pop("level", "info"), "time": event.pop("time", None)}
    name = event.pop("event_name", None)
    if name:
        line["event"] = name
    if program:
        line["program"] = program
    return msgspec.json.encode({**line, **event}, enc_hook=str).decode()


def _symbol(_logger: Any, _method: str, event: Event) -> Event:
    for key in event.keys() - {"exception", "stack"}:
        # A terminal has no other lines than those of the log: a line break would forge one.
        event[key] = _visible(event[key], keep="")
    event["event"] = f"{_SYMBOLS.get(event.get('level', ''), '')} {event['event']}"
    event.pop("event_name", None)
    event.pop("source", None)
    return event


def _label(program: str) -> str:
    return f"{program:<{_LABEL_WIDTH}} | " if program else ""


def _console(out: TextIO, program: str) -> Any:
    render = structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=0)
    label = _label(program)
    if out.isatty() and program in _COLOURS:
        label = f"\033[{_COLOURS[program]}m{label}\033[0m"
    return lambda logger, method, event: label + str(render(logger, method, event))


class _Bridge(logging.Handler):
    """Sends the records of libraries through structlog, for one format and one redaction."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(source=record.name)
        logger.log(record.levelno, record.getMessage(), event_name="library.log", exc_info=record.exc_info or None)


def _route_standard_logging(level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))
