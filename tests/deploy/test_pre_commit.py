"""The hooks of pre-commit run tools of the project's own environment, so no version can differ."""

from __future__ import annotations

import tomllib

import yaml

from tests.support.processes import ROOT


def hooks() -> list[dict[str, object]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    return [hook for repo in config["repos"] for hook in repo["hooks"]]


def test_every_hook_runs_a_tool_that_the_dev_extra_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {line.split(">")[0].split("=")[0] for line in project["optional-dependencies"]["dev"]}
    tools = set()
    for hook in hooks():
        assert hook["language"] == "system"
        command = str(hook["entry"]).split()[0]
        assert command.startswith(".venv/bin/")
        tools.add(command.removeprefix(".venv/bin/"))
    assert tools == {"ruff", "codespell", "mypy"}
    assert tools | {"pre-commit"} <= named


def test_make_lint_and_make_types_run_the_same_tools() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for tool in ("ruff check", "ruff format", "codespell", "mypy"):
        assert f"$(BIN)/{tool}" in makefile
