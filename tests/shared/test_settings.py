"""The reader of the environment: all faults at once, by name, and no secret ever shown."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.settings import (
    CommonSettings,
    Fault,
    Secret,
    SettingsError,
    boolean,
    choices,
    duration,
    integer,
    load,
    secret_urls,
    setting,
    url,
    urls,
)
from shared.settings_table import describe


@dataclass(frozen=True, kw_only=True)
class Example(CommonSettings):
    port: int = setting("PORT", integer(0, 65535), default=3000, about="Port")
    interval_ms: int = setting("KEEP_ALIVE_INTERVAL", duration(100, 86_400_000), default=600_000, about="Time between")
    enabled: bool = setting("KEEP_ALIVE_ENABLED", boolean(), default=True, about="Whether")
    bot_url: str = setting("BOT_URL", url(), default="http://127.0.0.1:3000", about="Where")
    alert_urls: tuple[Secret, ...] = setting("ALERT_URLS", secret_urls(), default=(), about="Who is notified")
    canaries: tuple[str, ...] = setting("CANARY_URLS", urls(), default=(), about="What else to reach")
    repair: tuple[str, ...] = setting("REMEDIATION", choices("bot", "docker"), default=(), about="How to repair")

    def faults(self) -> list[Fault]:
        return [Fault("PORT", "1", "another port than 1")] if self.port == 1 else []


def test_defaults_hold_when_nothing_is_set() -> None:
    settings = load(Example, {})
    assert (settings.port, settings.interval_ms, settings.enabled) == (3000, 600_000, True)
    assert settings.watchdog_token is None
    assert settings.secrets_path == Path("data/secrets")


def test_an_empty_value_counts_as_unset() -> None:
    assert load(Example, {"PORT": "", "ALERT_URLS": ""}).port == 3000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("600000", 600_000), ("10m", 600_000), ("24h", 86_400_000), ("1d", 86_400_000), ("250ms", 250), ("2 s", 2000)],
)
def test_durations_are_milliseconds_or_carry_a_unit(text: str, milliseconds: int) -> None:
    assert load(Example, {"KEEP_ALIVE_INTERVAL": text}).interval_ms == milliseconds


@pytest.mark.parametrize("text", ["", "ten", "1.5s", "-1", "99", "8d", "10 minutes", "0x10"])
def test_a_wrong_duration_names_the_variable_and_what_is_accepted(text: str) -> None:
    if not text:
        return
    with pytest.raises(SettingsError) as caught:
        load(Example, {"KEEP_ALIVE_INTERVAL": text})
    [fault] = caught.value.faults
    assert fault.name == "KEEP_ALIVE_INTERVAL"
    assert fault.value == text
    assert "milliseconds from 100 to 86400000" in str(fault)


def test_all_faults_come_together() -> None:
    wrong = {
        "PORT": "70000",
        "KEEP_ALIVE_ENABLED": "perhaps",
        "BOT_URL": "ftp://x",
        "LOG_LEVEL": "loud",
        "REMEDIATION": "bot,magic",
        "CANARY_URLS": "http://ok,nope",
    }
    with pytest.raises(SettingsError) as caught:
        load(Example, wrong)
    assert {fault.name for fault in caught.value.faults} == set(wrong)


def test_the_value_of_a_secret_is_never_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {"WATCHDOG_TOKEN": "tooshort", "ALERT_URLS": "not-a-url-but-a-token"})
    assert "tooshort" not in str(caught.value)
    assert "not-a-url" not in str(caught.value)
    assert "WATCHDOG_TOKEN: accepted: at least 16 characters" in str(caught.value)
    settings = load(Example, {"WATCHDOG_TOKEN": "a-real-token-of-many-characters", "ALERT_URLS": "tgram://bot/token"})
    assert "a-real-token" not in repr(settings)
    assert "tgram" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BOT_URL", "http://ann:pass-word-1@bot:3000"),
        ("BOT_URL", "https://pass-word-1@bot"),
        ("BOT_URL", "http://:pass-word-1@[::1]:3000/path"),
        ("BOT_URL", "http://@bot:3000"),
        ("BOT_URL", "bot:pass-word-1@bot"),
        ("CANARY_URLS", "https://example.org, https://ann:pass-word-1@example.org"),
    ],
)
def test_an_address_with_user_and_password_is_refused_and_not_shown(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {variable: value})
    assert "without user and password" in str(caught.value)
    assert "pass-word-1" not in str(caught.value)
    assert "ann" not in str(caught.value)


@pytest.mark.parametrize("example", ["changeme-changeme-changeme", "your-secret-here"])
def test_example_secrets_are_refused(example: str) -> None:
    with pytest.raises(SettingsError):
        load(Example, {"WATCHDOG_TOKEN": example})


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-from-a-file-0123\n")
    token = load(Example, {"WATCHDOG_TOKEN_FILE": str(file)}).watchdog_token
    assert token == Secret("a-token-from-a-file-0123")


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\x00a-token-that-is-long-enough"])
def test_a_secret_file_without_a_text_is_a_fault_and_not_a_secret_left_out(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load(Example, {"METRICS_TOKEN_FILE": str(file), "PORT": "x"})
    assert [fault.name for fault in caught.value.faults] == ["METRICS_TOKEN_FILE", "PORT"]


def test_a_secret_given_twice_or_by_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "missing"
    with pytest.raises(SettingsError, match="a readable file"):
        load(Example, {"WATCHDOG_TOKEN_FILE": str(file)})
    with pytest.raises(SettingsError, match="either WATCHDOG_TOKEN or WATCHDOG_TOKEN_FILE, not both"):
        load(Example, {"WATCHDOG_TOKEN_FILE": str(file), "WATCHDOG_TOKEN": "a-token-that-is-long-enough"})


def test_variables_are_judged_together_after_each_is_right() -> None:
    with pytest.raises(SettingsError, match="another port than 1"):
        load(Example, {"PORT": "1"})


def test_describe_tells_name_default_and_meaning() -> None:
    rows = {row.name: row for row in describe(Example)}
    assert rows["KEEP_ALIVE_INTERVAL"].default == "600000"
    assert rows["KEEP_ALIVE_ENABLED"].default == "true"
    assert rows["ALERT_URLS"].default == ""
    assert rows["WATCHDOG_TOKEN"].secret
    assert rows["SECRETS_DIR"].default == "DATA_DIR/secrets"


def test_a_program_with_wrong_settings_exits_with_2_and_prints_each_fault() -> None:
    code = "from shared.settings import *; load_or_exit(CommonSettings, {'LOG_LEVEL': 'x', 'HEARTBEAT_INTERVAL': 'y'})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "2 variable(s)" in ended.stderr
    assert "LOG_LEVEL: got 'x'" in ended.stderr
    assert "HEARTBEAT_INTERVAL: got 'y'" in ended.stderr
