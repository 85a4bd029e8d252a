"""Sessions that need a person, as ``veilleur status`` and ``veilleur check`` show them."""

from __future__ import annotations

from typing import Any

from shared.tools.cli.client import Client, CliError

SHOWN = 10


def count(health: dict[str, Any]) -> int:
    """How many there are, from the bot's ``/health``; 0 for an older bot, or another program."""
    sessions = health.get("sessions")
    found = sessions.get("needPerson", 0) if isinstance(sessions, dict) else 0
    return found if isinstance(found, int) and found > 0 else 0


def sentence(number: int) -> str:
    return f"{number} session needs a person" if number == 1 else f"{number} sessions need a person"


def lines(bot: Client) -> list[str]:
    """One line for each session with what happened, what to do and its page; none without a key."""
    try:
        listed = bot.get("/api/attention")["sessions"]
    except (CliError, KeyError, TypeError):
        return []
    # Imported late: `check` starts faster without it.
    from shared.contract.attention import printable

    shown = [
        f"{printable(each['name'])} ({each['session']}): {each['what']} What to do: {each['todo']} {each['link']}"
        for each in listed[:SHOWN]
    ]
    return shown + ([f"and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else [])
