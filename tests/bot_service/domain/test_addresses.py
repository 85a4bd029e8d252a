"""Telephone numbers and JIDs as people write them, and chats where no one can be answered."""

from __future__ import annotations

import pytest

from bot_service.domain.addresses import address, can_be_answered, has_authors, telephone_number, without_device
from bot_service.domain.refused import Refused


@pytest.mark.parametrize(
    "written",
    [
        "33612345678",
        "+33612345678",
        "0033612345678",
        "+33 6 12 34 56 78",
        "00 33 6-12-34-56-78",
        " (33) 612.345.678 ",
        "+33\u00a0612\u202f345678",
        "33612345678@s.whatsapp.net",
        "33612345678@c.us",
    ],
)
def test_a_number_in_international_form_is_one_address_however_it_is_written(written: str) -> None:
    assert address(written, "to") == "33612345678@s.whatsapp.net"


@pytest.mark.parametrize(
    "written",
    [
        "0612345678",  # national
        "06 12 34 56 78",
        "٣٣٦١٢٣٤٥٦٧٨",
        "３３６１２３４５６７８",
        "³³612345678",
        "12345",
        "1234567890123456",
        "+",
        "",
        "call me",
        "33612x45678",
        "++33612345678",
        "33612345678\u200b",
        "33612345678,33612345679",
        "@s.whatsapp.net",
        "bob@s.whatsapp.net",
        "٣٣٦١٢٣٤٥@s.whatsapp.net",
        "33612345678@example.com",
        "33612345678@s.whatsapp.net\nx",
        "33612345678@s.whatsapp.net@g.us",
    ],
)
def test_what_is_no_number_in_international_form_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(Refused) as refused:
        address(written, "to")
    assert (refused.value.code, refused.value.field) == ("invalid", "to")
    assert "international form, for example 33612345678" in refused.value.detail


@pytest.mark.parametrize(
    "jid",
    [
        "120363041234567890@g.us",
        "33612345678-1600000000@g.us",
        "123456789012345@lid",
        "33612345678:12@s.whatsapp.net",
        "120363041234567890@newsletter",
        "status@broadcast",
    ],
)
def test_jids_stay_as_they_are(jid: str) -> None:
    assert address(jid, "to") == jid


def test_a_telephone_number_is_refused_under_the_name_of_its_field() -> None:
    assert telephone_number("+33 6 12 34 56 78", "phone") == "33612345678"
    with pytest.raises(Refused) as refused:
        telephone_number("0612345678", "contactPhone")
    assert refused.value.field == "contactPhone"


@pytest.mark.parametrize(
    ("chat", "answer"),
    [
        ("33612345678@s.whatsapp.net", True),
        ("123456789012345@lid", True),
        ("120363041234567890@g.us", True),
        ("33612345678-1600000000@g.us", True),
        ("status@broadcast", False),
        ("1600000000@broadcast", False),
        ("120363041234567890@newsletter", False),
        ("0@s.whatsapp.net", False),
        ("13135550002@bot", False),
        ("call@call", False),
        ("s.whatsapp.net", False),
        ("", False),
    ],
)
def test_only_people_and_groups_can_be_answered(chat: str, *, answer: bool) -> None:
    assert can_be_answered(chat) is answer


@pytest.mark.parametrize(
    ("chat", "answer"),
    [
        ("120363041234567890@g.us", True),
        ("status@broadcast", True),
        ("1600000000@broadcast", True),
        ("33612345678@s.whatsapp.net", False),
        ("123456789012345@lid", False),
        ("120363041234567890@newsletter", False),
    ],
)
def test_messages_of_groups_and_statuses_name_their_author(chat: str, *, answer: bool) -> None:
    assert has_authors(chat) is answer


def test_a_person_is_the_same_on_every_device() -> None:
    assert without_device("33612345678:7@s.whatsapp.net") == "33612345678@s.whatsapp.net"
    assert without_device("33612345678@s.whatsapp.net") == "33612345678@s.whatsapp.net"
