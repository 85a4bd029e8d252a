"""The watchdog's variables: defaults of the original, addresses of the bot, and faults reported together."""

from __future__ import annotations

import pytest

from shared.settings import SettingsError, load
from shared.tools.cli.settings import CliSettings
from shared.tools.local_run import LocalRunSettings
from watchdog.settings import WatchdogSettings


def test_the_defaults_are_those_of_the_original() -> None:
    settings = load(WatchdogSettings, {})
    assert (settings.enabled, settings.interval_ms, settings.timeout_ms) == (True, 600_000, 10_000)
    assert (settings.start_delay_ms, settings.failure_threshold, settings.retry_interval_ms) == (5000, 3, 2000)
    assert (settings.stats_every, settings.port, settings.heartbeat_interval_ms) == (10, 3001, 2000)
    assert settings.targets == {"bot": "http://127.0.0.1:3000"}


@pytest.mark.parametrize(
    ("environ", "targets"),
    [
        ({"BOT_URL": "http://bot:3000/"}, {"bot": "http://bot:3000"}),
        ({"RAILWAY_PUBLIC_DOMAIN": "x.up.railway.app"}, {"bot": "https://x.up.railway.app"}),
        ({"RAILWAY_PUBLIC_DOMAIN": "x.up.railway.app", "BOT_URL": "http://b"}, {"bot": "http://b"}),
        ({"BOT_URLS": "http://a:1, http://b:2"}, {"bot": "http://a:1", "bot-2": "http://b:2"}),
    ],
)
def test_where_the_bot_is(environ: dict[str, str], targets: dict[str, str]) -> None:
    assert load(WatchdogSettings, environ).targets == targets


def test_every_fault_is_told_at_once_and_secrets_are_not_shown() -> None:
    wrong = {
        "KEEP_ALIVE_INTERVAL": "soon",
        "KEEP_ALIVE_ENABLED": "perhaps",
        "PORT": "99999",
        "WATCHDOG_TOKEN": "changeme",
        "DEGRADED_SESSION_SHARE": "2",
    }
    with pytest.raises(SettingsError) as caught:
        load(WatchdogSettings, wrong)
    assert {fault.name for fault in caught.value.faults} == set(wrong)
    assert "changeme" not in str(caught.value)
    assert "'soon'" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "environ"),
    [
        (WatchdogSettings, {"BOT_URL": "http://ann:pass-word-1@bot:3000"}),
        (WatchdogSettings, {"BOT_URLS": "http://a, http://ann:pass-word-1@b"}),
        (WatchdogSettings, {"RAILWAY_PUBLIC_DOMAIN": "ann:pass-word-1@bot.up.railway.app"}),
        (LocalRunSettings, {"BOT_URL": "http://ann:pass-word-1@bot:3000"}),
        (CliSettings, {"WATCHDOG_URL": "http://ann:pass-word-1@watchdog"}),
    ],
)
def test_no_program_takes_an_address_with_a_password_or_prints_it(settings: type, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(settings, environ)
    assert [fault.name for fault in caught.value.faults] == list(environ)
    assert "pass-word-1" not in str(caught.value)


_RAILWAY = {
    "REMEDIATION": "railway",
    "RAILWAY_API_TOKEN": "a-token-of-tests",
    "RAILWAY_BOT_SERVICE_ID": "service-1",
    "RAILWAY_ENVIRONMENT_ID": "environment-1",
}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"BOT_URL": "http://a", "BOT_URLS": "http://b"}, "BOT_URLS"),
        ({"BOT_URLS": "http://a,http://a"}, "BOT_URLS"),
        ({"REMEDIATION": "none,bot"}, "REMEDIATION"),
        ({"REMEDIATION": "railway"}, "RAILWAY_API_TOKEN"),
        ({"DEADMAN_URL": "not-a-url-at-all"}, "DEADMAN_URL"),
        ({"BOT_URLS": "http://a,http://b", "REMEDIATION": "docker"}, "DOCKER_CONTAINER"),
        ({"BOT_URLS": "http://a,http://b", "REMEDIATION": "docker", "DOCKER_CONTAINER": "a,a"}, "DOCKER_CONTAINER"),
        ({"REMEDIATION": "docker", "DOCKER_CONTAINER": "a,b"}, "DOCKER_CONTAINER"),
        ({**_RAILWAY, "BOT_URLS": "http://a,http://b"}, "RAILWAY_BOT_SERVICE_ID"),
    ],
)
def test_variables_that_do_not_go_together_are_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(WatchdogSettings, environ)
    assert named in {fault.name for fault in caught.value.faults}


def test_every_replica_has_a_container_and_a_service_of_its_own() -> None:
    replicas = {"BOT_URLS": "http://a,http://b", "DOCKER_CONTAINER": "bot-a, bot-b"}
    settings = load(WatchdogSettings, {**_RAILWAY, **replicas, "RAILWAY_BOT_SERVICE_ID": "s1,s2"})
    assert settings.docker_containers == {"bot": "bot-a", "bot-2": "bot-b"}
    assert settings.railway_services == {"bot": "s1", "bot-2": "s2"}


def test_replicas_without_a_container_each_are_told_what_is_accepted() -> None:
    with pytest.raises(SettingsError, match="2 different names with commas, one for each of BOT_URLS"):
        load(WatchdogSettings, {"BOT_URLS": "http://a,http://b", "REMEDIATION": "bot,docker"})
