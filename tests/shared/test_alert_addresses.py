"""Lists of addresses are checked entry by entry, and no message contains an address."""

from __future__ import annotations

import pytest

from bot_service.settings import BotSettings
from shared import alert_addresses
from shared.settings import SettingsError, load
from watchdog.settings import WatchdogSettings

TOKEN = "T0KEN-that-no-message-may-show"
NEEDED = {"WATCHDOG_TOKEN": "token-of-the-tests-0123456789", "DATA_DIR": "/nonexistent"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (f"slak://{TOKEN}/b/c", "entry 1 (slak://) has an unknown scheme"),
        (f"https://a.example/{TOKEN},htps://b.example/{TOKEN}", "entry 2 (htps://) has an unknown scheme"),
        (f"mailto://u:{TOKEN}@x.example?to=a@x.example,b@x.example", "entry 2 has no scheme"),
        (f"https://a.example/one two{TOKEN}", "entry 2 has no scheme"),
        (f"https://a.example/{TOKEN},,https://b.example", "entry 2 is empty"),
        (f",https://a.example/{TOKEN}", "entry 1 is empty"),
        (f"https://a.example/{TOKEN},", "entry 2 is empty"),
        (f"https:///{TOKEN}", "entry 1 (https://) has no valid host or port"),
        (f"webhooks://host:port/{TOKEN}", "entry 1 (webhooks://) has no valid host or port"),
        (f"http://[::1/{TOKEN}", "entry 1 (http://) has no valid host or port"),
        (f"http://xn--/{TOKEN}", "entry 1 (http://) has no valid host or port"),
        (f"http://a..b/{TOKEN}", "entry 1 (http://) has no valid host or port"),
        (f"json://host/{TOKEN} tgram://", "entry 2 (tgram://) has nothing after the scheme"),
        (TOKEN, "entry 1 has no scheme"),
        (f"://{TOKEN}", "entry 1 has no scheme"),
    ],
)
@pytest.mark.parametrize("program", [WatchdogSettings, BotSettings])
def test_a_wrong_entry_is_named_by_position_and_scheme_only(program: type, raw: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(program, {**NEEDED, "BOT_API_KEY": "key-of-the-tests-0123456789", "ALERT_URLS": raw})
    text = str(refused.value)
    assert f"ALERT_URLS: {said}" in text
    assert TOKEN not in text
    assert "example" not in text


@pytest.mark.parametrize("separator", [",", " ", ", ", "\n", " ,\n"])
def test_entries_are_separated_by_commas_or_white_space(separator: str) -> None:
    raw = separator.join(["https://a.example/x?y=%2C", "tgram://1:a/2", "webhook://[::1]:9/", "46elks://a:b@+336"])
    assert alert_addresses.problem(raw) is None
    assert len(alert_addresses.entries(f"\n{raw} ")) == 4


@pytest.mark.parametrize("name", ["BOT_URLS", "CANARY_URLS", "DEADMAN_URL", "BOT_URL", "RAILWAY_API_URL"])
@pytest.mark.parametrize(
    "raw", ["http://a..b/x", "http://xn--/x", "https:///path", "http://host:99999", "ftp://a.example"]
)
def test_every_other_address_is_checked_too(name: str, raw: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(WatchdogSettings, {**NEEDED, name: raw})


@pytest.mark.parametrize("name", ["BOT_URLS", "CANARY_URLS"])
def test_an_empty_entry_of_another_list_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(WatchdogSettings, {**NEEDED, name: "http://a.example,,http://b.example"})
    assert load(WatchdogSettings, {**NEEDED, name: "http://a.example, http://b.example"})


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_the_known_schemes_are_those_of_apprise() -> None:
    manager = pytest.importorskip("apprise.manager_plugins")
    assert set(manager.NotificationManager().schemas()) == alert_addresses.APPRISE_SCHEMES
