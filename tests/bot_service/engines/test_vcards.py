"""Contact cards of every version and spelling that phones send."""

from __future__ import annotations

import pytest

from bot_service.engines.neonize import vcards


def card(*lines: str, version: str = "3.0", end: str = "\n") -> str:
    return end.join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD"])


@pytest.mark.parametrize(
    ("line", "digits"),
    [
        ("TEL:+33.6.12.34.56.78", "33612345678"),
        ("TEL;type=CELL;type=VOICE;waid=33612345678:+33 6 12 34 56 78", "33612345678"),
        ("TEL;waid=33612345678:06 12 34 56 78", "33612345678"),
        ("TEL;WAID=33612345678;TYPE=CELL:06", "33612345678"),
        ("item1.TEL;waid=33612345678:+33 6 12 34 56 78", "33612345678"),
        ("item12.TEL:+33612345678", "33612345678"),
        ("tel;cell:+33612345678", "33612345678"),
        ("Tel;Type=home:(336) 12/34-56~78", "33612345678"),
        ("TEL;CELL;PREF:+33612345678", "33612345678"),
        ("TEL;VALUE=uri;TYPE=cell:tel:+33-6-12-34-56-78", "33612345678"),
        ('TEL;VALUE=uri;TYPE="voice,home";PREF=1:tel:+33-6-12-34-56-78;ext=42', "33612345678"),
        ('TEL;TYPE="a:b;c":+33612345678', "33612345678"),
        ("TEL;ENCODING=QUOTED-PRINTABLE:=2B33 612 345 678", "33612345678"),
        ("TEL:+33 612\n  345 678", "33612345678"),
        ("TEL:+33612345678 ext. 12", "33612345678"),
        ("TEL:+33612345678 x12", "33612345678"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_telephone_numbers_are_whole(line: str, digits: str, end: str) -> None:
    assert vcards.read(card("FN:Ann", line.replace("\n", end), end=end)).phones == (digits,)


def test_all_numbers_are_kept_once_and_in_order() -> None:
    read = vcards.read(card("TEL:+33612345678", "item1.TEL:+4915112345678", "TEL;HOME:+33 612 345 678"))
    assert read.phones == ("33612345678", "4915112345678")


@pytest.mark.parametrize(
    ("lines", "version", "name"),
    [
        (("FN:Ann Smith",), "3.0", "Ann Smith"),
        (("N:Smith;Ann;;Dr.;",), "2.1", "Dr. Ann Smith"),
        (("FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Ren=C3=A9e =\n  Dupont",), "2.1", "Renée   Dupont"),
        (("N;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;J=F6rg;;;",), "2.1", "Jörg Müller"),
        (("FN:Smith\\, Ann\\; Sales",), "3.0", "Smith, Ann; Sales"),
        (("fn;language=fr:Léa",), "4.0", "Léa"),
        (("ORG:Shop",), "4.0", None),
    ],
)
def test_names(lines: tuple[str, ...], version: str, name: str | None) -> None:
    assert vcards.read(card(*lines, version=version)).name == name


def test_the_name_that_whatsapp_shows_comes_first() -> None:
    assert vcards.read(card("FN:Card"), "Shown").name == "Shown"


@pytest.mark.parametrize(
    "given", ["", "TEL", ":::", "TEL;;;:", "\x00", "TEL;ENCODING=QUOTED-PRINTABLE;CHARSET=no:=ff", "BEGIN:VCARD\n" * 9]
)
def test_what_is_no_card_gives_nobody(given: str) -> None:
    assert vcards.read(given).phones == ()


def test_a_hostile_card_takes_time_in_line_with_its_size() -> None:
    assert vcards.read("TEL" + ";a" * 500_000).phones == ()
    assert vcards.read("A=\n" * 500_000 + "ENCODING=QUOTED-PRINTABLE").phones == ()
    assert vcards.read(card("TEL;TYPE=" + '"' * 100_000 + ":1")).phones == ()
