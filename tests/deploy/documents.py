"""Makes ``.env.example`` and the table in ``docs/configuration.md`` from the settings classes, ``docs/cli.md``
and ``docs/architecture.svg``.

Usage: ``python -m tests.deploy.documents --write``. Tests compare the files with :func:`env_example`,
:func:`configuration`, :func:`cli_document.document` and :func:`architecture_picture.picture`.
"""

from __future__ import annotations

import re
import sys

from bot_service.settings import BotSettings
from shared.settings import CommonSettings
from shared.settings_table import Described, describe
from shared.tools.local_run import LocalRunSettings
from tests.deploy import architecture_picture, cli_document
from tests.deploy.cli_document import CLI
from tests.support.processes import ROOT
from watchdog.settings import WatchdogSettings

ENV_EXAMPLE = ROOT / ".env.example"
CONFIGURATION = ROOT / "docs" / "configuration.md"
BEGIN, END = "<!-- variables: made by `make docs` -->", "<!-- end of variables -->"
TITLES = {"both": "Both programs", "bot": "Bot service", "watchdog": "Watchdog"}


def groups() -> dict[str, list[Described]]:
    """Every variable once, grouped by the program that reads it."""
    common = {row.name for row in describe(CommonSettings)}
    bot, watchdog = describe(BotSettings), describe(WatchdogSettings)
    shared = [row for row in bot if row.name in common]
    in_bot = {row.name for row in bot}
    for_both = [row for row in watchdog if row.name in in_bot and row.name not in common and row.name != "PORT"]
    names_for_both = {row.name for row in for_both}
    local = [row for row in describe(LocalRunSettings) if row.name == "WATCHDOG_PORT"]
    return {
        "both": shared + for_both,
        "bot": [row for row in bot if row.name not in common | names_for_both],
        "watchdog": local + [row for row in watchdog if row.name not in common | names_for_both | {"PORT"}],
    }


def env_example() -> str:
    """The text of ``.env.example``: every variable, commented out, with its default."""
    lines = [
        "# Copy this file to .env and remove the # from each line that you change. Every variable is optional.",
        "# Durations are milliseconds, or a number with ms, s, m, h or d: 600000 is 10m.",
        "# Every secret NAME can be set as NAME_FILE: the path of a file that holds the secret.",
    ]
    for group, rows in groups().items():
        lines += ["", f"# --- {TITLES[group]} ---"]
        for row in rows:
            lines += ["", f"# {row.about}.", f"# Accepted: {row.accepts}.", f"#{row.name}={_writable(row)}"]
    return "\n".join(lines) + "\n"


def _writable(row: Described) -> str:
    # A default that is a description ("DATA_DIR/secrets") is not a value to write.
    return "" if row.secret or re.search(r"[A-Z]{3,}", row.default) else row.default


def table() -> str:
    """The tables of ``docs/configuration.md`` between its two marks, one for each group."""
    lines = [BEGIN]
    for group, rows in groups().items():
        lines += ["", f"## {TITLES[group]}", "", "| variable | default | meaning |", "|---|---|---|"]
        for row in rows:
            default = f"`{row.default}`" if row.default else "none"
            lines.append(f"| `{row.name}` | {default} | {row.about.replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, "", END])


def configuration(text: str) -> str:
    """``text`` with its tables replaced; raises ``ValueError`` when a mark is missing."""
    begin, end = text.index(BEGIN), text.index(END) + len(END)
    return text[:begin] + table() + text[end:]


def main(arguments: list[str]) -> int:
    if arguments != ["--write"]:
        sys.stderr.write("usage: python -m tests.deploy.documents --write\n")
        return 2
    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")
    architecture_picture.FILE.write_text(architecture_picture.picture(), encoding="utf-8")
    CLI.write_text(cli_document.document(), encoding="utf-8")
    CONFIGURATION.write_text(configuration(CONFIGURATION.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
