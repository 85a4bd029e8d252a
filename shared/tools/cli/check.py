"""``veilleur check``: one ping with the exit codes of a Nagios plugin, for a HEALTHCHECK.

Exit codes: 0 OK, 1 WARNING (slower than ``--warn``, or sessions need a person), 2 CRITICAL, 3 UNKNOWN
(the check failed). ``--self`` asks for the program only: sessions do not change its exit code, because
a restart of the container helps none of them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from shared.contract.health import program_of
from shared.contract.identity import WATCHDOG
from shared.settings import Secret
from shared.tools.cli import needs
from shared.tools.cli.client import Client, CliError
from shared.tools.cli.settings import read

WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """``code`` is the exit code; ``took_ms`` is None without an answer."""

    code: int
    sentence: str
    took_ms: float | None
    health: dict[str, Any]

    def line(self) -> str:
        """The output of a Nagios plugin: text, then figures behind a bar."""
        figures = [] if self.took_ms is None else [f"time={self.took_ms / 1000:.3f}s;;;0"]
        sessions = self.health.get("sessions")
        if isinstance(sessions, dict):
            figures += [f"{name}={sessions[name]}" for name in ("ready", "wanted", "total") if name in sessions]
        return f"VEILLEUR {WORDS[self.code]} - {self.sentence}" + (f" | {' '.join(figures)}" if figures else "")

    def as_json(self) -> str:
        return json.dumps(
            {
                "result": WORDS[self.code],
                "exitCode": self.code,
                "detail": self.sentence,
                "latencyMs": None if self.took_ms is None else round(self.took_ms, 1),
                "health": self.health,
            }
        )


def ping(
    url: str,
    *,
    timeout_s: float,
    warn_ms: float | None,
    bot: bool = False,
    program_only: bool = False,
    key: Secret | None = None,
) -> CheckOutcome:
    """Ask ``url``'s ``/health`` once; with ``key`` also for the sessions that need a person.

    ``bot``: a watchdog there is not what is meant.
    """
    started = time.perf_counter()
    try:
        answer = Client(url, None, name="the program", timeout_s=timeout_s).request("GET", "/health")
    except CliError as error:
        return CheckOutcome(2, error.detail, None, {})
    took_ms = (time.perf_counter() - started) * 1000
    health = answer.value if isinstance(answer.value, dict) else {}
    if answer.status != 200:
        reasons = ", ".join(map(str, health.get("reasons", []))) or f"status {answer.status}"
        return CheckOutcome(2, f"unhealthy: {reasons}", took_ms, health)
    program = program_of(answer.value)
    if program is None or (bot and program == WATCHDOG):
        what = "a watchdog" if program else "something that is neither the bot service nor a watchdog"
        return CheckOutcome(2, f"{what} answers at {url}", took_ms, health)
    if health.get("status") not in ("ok", "disabled"):
        return CheckOutcome(2, f"unhealthy: status {health.get('status')}", took_ms, health)
    sentence = f"answered in {took_ms:.0f} ms"
    sessions = health.get("sessions")
    if isinstance(sessions, dict):
        # Imported late: `check` of a watchdog starts faster without it.
        from shared.web.ui.sessions_ready import of_health

        text = of_health(sessions)
        sentence += f", {text[:1].lower()}{text[1:]}"
    number = needs.count(health)
    if number:
        sentence += f", {needs.sentence(number)}"
    if warn_ms is not None and took_ms > warn_ms:
        return CheckOutcome(1, f"{sentence}, slower than {warn_ms:g} ms", took_ms, health)
    if number and not program_only:
        named = [] if key is None else needs.lines(Client(url, key, name="the bot service", timeout_s=timeout_s))
        # One line for Nagios: a bar would begin the figures.
        return CheckOutcome(
            1, ": ".join([sentence, *named[:1]]).replace("|", "/") + _more(number, named), took_ms, health
        )
    return CheckOutcome(0, sentence, took_ms, health)


def _more(number: int, named: list[str]) -> str:
    return f" (and {number - 1} more: veilleur status)" if named and number > 1 else ""


def parser() -> argparse.ArgumentParser:
    """The arguments; also read by the command line's help."""
    made = argparse.ArgumentParser(prog="veilleur check", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--url", help="base address; the bot service's by default")
    made.add_argument("--self", dest="own", action="store_true", help="the program on PORT of this machine")
    made.add_argument("--timeout", type=float, default=4.0, metavar="SECONDS", help="give up after this time (4)")
    made.add_argument("--warn", type=float, metavar="MS", help="WARNING when the answer takes longer")
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the check and print its line; returns the exit code."""
    try:
        options = parser().parse_args(arguments)
        settings = read()
    except SystemExit as end:
        return 0 if end.code in (0, None) else 3
    url = options.url or (settings.own if options.own else settings.bot)
    if "@" in urlsplit(url).netloc:
        print("VEILLEUR UNKNOWN - the address must hold no user and password")
        return 3
    # The key goes to the bot service's own address only.
    key = settings.bot_key() if url == settings.bot else None
    outcome = ping(
        url,
        timeout_s=options.timeout,
        warn_ms=options.warn,
        bot=not (options.url or options.own),
        program_only=options.own,
        key=key,
    )
    print(outcome.as_json() if options.json else outcome.line())
    return outcome.code
