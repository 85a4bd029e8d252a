"""The words of the notices about sessions that need a person, and what people's names can do in them: nothing."""

from __future__ import annotations

import pytest

from shared.contract.attention import NeedAdvice, NeedEntry, opened, over, printable

ADVICE = {
    "banned": NeedAdvice("critical", "WhatsApp banned the account.", "Ask for a review."),
    "closed": NeedAdvice("warning", "The session was closed.", "Start it."),
}
PAGE = "https://bot.example.org/"


def entries(count: int, need: str = "banned") -> list[NeedEntry]:
    return [NeedEntry(f"s{number}", f"Shop {number}", need, 1) for number in range(count)]


def test_one_session_is_named_with_what_to_do_and_its_page() -> None:
    words = opened(entries(1), ADVICE, PAGE)
    assert words.title == "Session Shop 0 (s0) needs a person"
    assert words.text == (
        "Session Shop 0 (s0) needs a person: WhatsApp banned the account. What to do: Ask for a review. "
        "https://bot.example.org/sessions/s0"
    )
    assert over(entries(1), PAGE).text == "Session Shop 0 (s0) works again. https://bot.example.org/sessions/s0"


def test_many_sessions_are_grouped_by_what_happened_and_counted() -> None:
    words = opened([*entries(500), NeedEntry("c", "c", "closed", 1)], ADVICE, PAGE)
    lines = words.text.split("\n")
    assert lines[0] == "501 sessions need a person: https://bot.example.org/"
    assert lines[1].startswith("WhatsApp banned the account. Shop 0 (s0), ")
    assert " and 490 more. What to do: Ask for a review." in lines[1]
    assert lines[2] == "The session was closed. c. What to do: Start it."
    assert words.fields["count"] == 501
    assert words.fields["needs"] == {"banned": 500, "closed": 1}
    assert words.fields["severity"] == "critical"
    assert len(words.fields["sessions"]) == 10
    assert opened(entries(3, "closed"), ADVICE, PAGE).fields["severity"] == "warning"
    assert over(entries(12), PAGE).text.startswith("12 sessions work again: Shop 0 (s0), ")


def test_a_name_in_a_notice_of_one_session_or_of_many_is_data() -> None:
    hostile = "<!channel> @everyone [x](http://evil.example) \x1b[31m\u202e\nA line of its own"
    some = [NeedEntry(f"s{number}", hostile, "banned", 1) for number in range(3)]
    for words in (opened(some[:1], ADVICE, PAGE), opened(some, ADVICE, PAGE), over(some[:1], PAGE), over(some, PAGE)):
        for text in (words.title, words.text):
            assert not set(text) & set("<>@\x1b\u202e"), text
            assert "[x]" not in text
            assert not [line for line in text.split("\n") if line.startswith("A line")]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Boutique Lyon", "Boutique Lyon"),
        ("  Zoë  &  Ko \n", "Zoë & Ko"),
        ("@everyone", "＠everyone"),
        ("<!channel> *now*", "＜!channel＞ ＊now＊"),
        ("[x](http://evil.example)", "［x］(http://evil.example)"),
        ("\x1b[31mred\x07", "�［31mred�"),
        ("abc\u202egpj", "abc�gpj"),
        ("two\nlines", "two�lines"),
        ("", "?"),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_a_name_is_data_in_every_channel(name: str, shown: str) -> None:
    assert printable(name) == shown
