"""Real starts: a secret or a folder that cannot be used is one clear sentence and exit code 2, and a worker gets no secret."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.members import members
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, Client, Program, bot, watchdog
from tests.support.sessions import paired

pytestmark = pytest.mark.system


def two_lines(path: Path) -> None:
    path.write_text("the-first-line-of-it\nthe-second-line-of-it\n")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(128, 200)))


async def refused(program: Program) -> str:
    """What the program printed when it refused to start."""
    program.start()
    try:
        assert await program.exit_code() == 2
    finally:
        program.close()
    output = program.output()
    assert "Traceback" not in output
    assert "Configuration error: 1 variable(s)" in output
    return output


@pytest.mark.parametrize(
    "make",
    members(
        [lambda path: path.write_text("short"), os.mkfifo, lambda path: path.write_text(""), two_lines, binary], first=2
    ),
)
async def test_a_made_secret_that_is_none_ends_the_start_with_one_sentence(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    for name in ("bot-api-key", "watchdog-token"):
        make(secrets / name)
        (secrets / name).chmod(0o600)
    program = bot(tmp_path, SECRETS_DIR=str(secrets), BOT_API_KEY="")
    guard = watchdog(tmp_path, "http://127.0.0.1:9", SECRETS_DIR=str(secrets), WATCHDOG_TOKEN="")
    program.own_interpreter = guard.own_interpreter = True
    assert "BOT_API_KEY: got" in await refused(program)
    assert "WATCHDOG_TOKEN: got" in await refused(guard)


@pytest.mark.parametrize("make", members([two_lines, os.mkfifo, Path.mkdir]))
async def test_a_secret_by_the_name_of_a_file_that_is_none_ends_the_start_with_one_sentence(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "token")
    given: dict[str, Any] = {"WATCHDOG_TOKEN": "", "WATCHDOG_TOKEN_FILE": str(tmp_path / "token")}
    assert "WATCHDOG_TOKEN_FILE: got" in await refused(bot(tmp_path, **given))
    assert "WATCHDOG_TOKEN_FILE: got" in await refused(watchdog(tmp_path, "http://127.0.0.1:9", **given))


async def test_a_worker_of_the_running_program_has_no_secret_in_variables_arguments_or_descriptors(
    tmp_path: Path,
) -> None:
    other: dict[str, Any] = {
        "RAILWAY_API_TOKEN": "railway-token-0123456789",
        "METRICS_TOKEN": "metrics-token-0123456789",
        "SOME_OTHER_PASSWORD": "some-password-0123456789",
    }
    program = bot(tmp_path, **other)
    async with program.running(), Client(program.url) as client:
        await paired(client, "one")
        (worker,) = program.worker_pids()
        folder = Path(f"/proc/{worker}")
        shown = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
        for value in (API_KEY, WATCHDOG_TOKEN, *other.values()):
            assert value.encode() not in shown
        assert b"PATH=" in shown
        targets = [os.readlink(each) for each in (folder / "fd").iterdir()]
        assert not [target for target in targets if "bot.db" in target or "secrets" in target]
        listening = {os.readlink(each) for each in Path(f"/proc/{program.pid}/fd").iterdir() if each.exists()}
        assert not {target for target in targets if target.startswith("socket:")} & listening


@pytest.mark.parametrize("made", [bot, lambda folder, **env: watchdog(folder, "http://127.0.0.1:9", **env)])
async def test_a_data_folder_that_others_may_write_to_is_closed_at_the_start(
    tmp_path: Path, made: Callable[..., Program]
) -> None:
    program = made(tmp_path, SECRETS_DIR=str(tmp_path / "secrets"))
    data, secrets = Path(program.env["DATA_DIR"]), tmp_path / "secrets"
    for folder in (data, secrets):
        folder.mkdir()
        folder.chmod(0o777)
    async with program.running():
        assert data.stat().st_mode & 0o022 == 0
        assert secrets.stat().st_mode & 0o022 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to others (.ci/run has it)")
@pytest.mark.parametrize("variable", ["DATA_DIR", "SECRETS_DIR"])
@pytest.mark.parametrize("made", [bot, lambda folder, **env: watchdog(folder, "http://127.0.0.1:9", **env)])
async def test_a_folder_into_which_somebody_else_put_a_file_ends_the_start(
    tmp_path: Path, made: Callable[..., Program], variable: str
) -> None:
    program = made(tmp_path, SECRETS_DIR=str(tmp_path / "secrets"))
    folder = Path(program.env[variable])
    folder.mkdir()
    (folder / "planted").write_text("x")
    os.chown(folder / "planted", 12345, 12345)
    folder.chmod(0o777)
    output = await refused(program)
    assert f"{variable}: got" in output
    assert "planted is of uid 12345" in output
