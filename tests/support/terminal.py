"""``veilleur`` in the test's own process, which is much cheaper than a process for each command."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from shared.tools.cli.commands import app
from tests.support.processes import API_KEY

# The runner makes all commands again for each run, which costs more than the runs.
made_once = cache(typer.main.get_command)


class Terminal:
    """Runs commands in this process, which is much cheaper than one for each, with an address and key."""

    def __init__(self, folder: Path, url: str) -> None:
        self._environ = {"BOT_URL": url, "BOT_API_KEY": API_KEY, "DATA_DIR": str(folder), "COLUMNS": "140"}

    def run(self, command: str, *more: str, typed: str | bytes | None = None) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("typer.testing._get_command", made_once)
            return CliRunner(env=self._environ).invoke(app, [*command.split(), *more], input=typed)

    def says(self, command: str, *more: str, typed: str | None = None, code: int = 0) -> str:
        """All that it prints; asserts the exit code."""
        result = self.run(command, *more, typed=typed)
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    def json(self, command: str, *more: str, typed: str | None = None, code: int = 0) -> Any:
        return json.loads(self.says(command, *more, "--json", typed=typed, code=code))
