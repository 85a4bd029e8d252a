"""Both programs end with exit code 2 for a channel that cannot be used, and print no address."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import processes

pytestmark = pytest.mark.system
TOKEN = "T0KEN-that-no-output-may-show"


@pytest.mark.parametrize(
    ("program", "name", "value", "said"),
    [
        ("watchdog", "ALERT_URLS", f"http://127.0.0.1:9/ slack://{TOKEN}", "entry 2 (slack://)"),
        ("watchdog", "ALERT_FALLBACK_URLS", f"slak://{TOKEN}/b", "entry 1 (slak://)"),
        ("watchdog", "DEADMAN_URL", f"https:///{TOKEN}", "http:// or https://"),
        ("bot", "ALERT_URLS", f"http://127.0.0.1:9/,htps://x/{TOKEN}", "entry 2 (htps://)"),
        ("bot", "ALERT_URLS", f"mailto://a:{TOKEN}@x.example?to=a,b", "entry 2 has no scheme"),
    ],
)
async def test_a_wrong_channel_ends_the_start(tmp_path: Path, program: str, name: str, value: str, said: str) -> None:
    made = processes.bot(tmp_path) if program == "bot" else processes.watchdog(tmp_path, "http://127.0.0.1:9")
    made.env[name] = value
    made.start()
    try:
        assert await made.exit_code() == 2
    finally:
        made.close()
    assert name in made.output()
    assert said in made.output()
    assert TOKEN not in made.output()
