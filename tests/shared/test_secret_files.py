"""A secret of the first start is made once and readable by its owner only."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.secret_files import read_or_create
from shared.settings import Secret, SettingsError, load, secret, setting


@dataclass(frozen=True, kw_only=True)
class Example:
    token: Secret | None = setting("TOKEN", secret(), default=None, about="A token")


def test_the_second_reader_gets_the_first_one_s_secret(tmp_path: Path) -> None:
    first = read_or_create(tmp_path / "secrets", "watchdog-token")
    assert read_or_create(tmp_path / "secrets", "watchdog-token") == first
    assert len(first.reveal()) >= 32
    assert (tmp_path / "secrets" / "watchdog-token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from shared.secret_files import *; print(read_or_create(Path({str(tmp_path)!r}), 't').reveal())"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    values = {process.communicate(timeout=120)[0] for process in started}
    assert len(values) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "not empty"),
        (b" \n\n", "not empty"),
        (b"short", "at least 16 characters"),
        (b"a-first-line-of-text\nand-a-second-line\n", "one line"),
        (b"\xff\xfe\x00\x01binary-binary-binary", "binary"),
        (b"nul-in-the-middle\x00-of-the-text", "binary"),
        ("caractères-accentués-été".encode(), "ASCII"),
        (b"changeme-changeme-changeme", "example"),
        (b"x" * 100_000, "at most"),
    ],
)
def test_a_file_without_a_secret_is_refused_with_the_variable_the_rule_and_what_to_do(
    tmp_path: Path, content: bytes, rule: str
) -> None:
    (tmp_path / "bot-api-key").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_or_create(tmp_path, "bot-api-key")
    (fault,) = caught.value.faults
    assert fault.name == "BOT_API_KEY"
    assert rule in fault.accepts
    assert "delete it to have a new secret made" in fault.accepts
    with pytest.raises(SettingsError) as by_name:
        load(Example, {"TOKEN_FILE": str(tmp_path / "bot-api-key")})
    (fault,) = by_name.value.faults
    assert fault.name == "TOKEN_FILE"
    assert rule in fault.accepts


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize("make", [_fifo, Path.mkdir, _socket, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "token")
    with pytest.raises(SettingsError, match=r"regular file|readable file"):
        read_or_create(tmp_path, "token")
    with pytest.raises(SettingsError, match="TOKEN_FILE"):
        load(Example, {"TOKEN_FILE": str(tmp_path / "token")})


def test_a_link_to_nothing_is_refused_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="TOKEN"):
        read_or_create(tmp_path, "token")
    assert not (tmp_path / "elsewhere").exists()


def test_a_made_secret_that_others_can_read_is_closed(tmp_path: Path) -> None:
    secret = read_or_create(tmp_path, "token")
    (tmp_path / "token").chmod(0o666)
    assert read_or_create(tmp_path, "token") == secret
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_a_file_by_name_that_others_can_write_is_refused_and_one_to_read_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-of-many-characters\n")
    file.chmod(0o666)
    with pytest.raises(SettingsError, match="others cannot write"):
        load(Example, {"TOKEN_FILE": str(file)})
    file.chmod(0o444)  # as container engines mount secrets
    assert load(Example, {"TOKEN_FILE": str(file)}).token == Secret("a-token-of-many-characters")


@pytest.mark.parametrize(
    "value", ["two\nlines-of-a-long-token", "tab\tin-the-token-text", "token-with-é-in-it-long", " " * 20]
)
def test_a_value_of_a_variable_follows_the_same_rule(value: str) -> None:
    with pytest.raises(SettingsError, match="TOKEN: accepted: at least 16 characters, one line"):
        load(Example, {"TOKEN": value})


def test_a_secret_given_as_the_name_of_a_file_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {"TOKEN_FILE": "the-secret-itself-0123456789"})
    assert "the-secret-itself" not in str(caught.value)
