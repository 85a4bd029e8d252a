"""MIME types and file names from strangers, made safe for headers."""

from __future__ import annotations

import pytest

from bot_service.domain.file_labels import UNKNOWN_TYPE, is_mime_type, safe_file_name, safe_mime_type


@pytest.mark.parametrize(
    "given",
    [
        "image/png",
        "audio/ogg; codecs=opus",
        "audio/ogg;codecs=opus",
        'text/plain; charset="utf-8"; format=flowed',
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "image/svg+xml",
    ],
)
def test_mime_types_with_and_without_parameters_are_kept(given: str) -> None:
    assert is_mime_type(given)
    assert safe_mime_type(given) == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "image",
        "image/",
        "image/png\r\nSet-Cookie: a=b",
        "image/png\n",
        "image/png; x",
        "image/png; x=\x00",
        "imäge/png",
        "image/png; a=" + "b" * 300,
        'text/plain; a="b',
        "text/html; a=b, text/plain",
    ],
)
def test_what_is_no_mime_type_says_nothing(given: str) -> None:
    # A line break at the end is the only thing that stripping mends.
    assert safe_mime_type(given) == (UNKNOWN_TYPE if given != "image/png\n" else "image/png")
    assert not is_mime_type(given)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("Reçu n°1 – août.pdf", "Reçu n°1 – août.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\temp\\a.exe", "C__temp_a.exe"),
        ("a\r\nSet-Cookie: b", "a__Set-Cookie_ b"),
        ('a".pdf', "a_.pdf"),
        ("gpj\u202e.exe", "gpj_.exe"),
        ("a\x00b", "a_b"),
        ("a\udc80b", "a_b"),
        ("...", None),
        ("", None),
    ],
)
def test_file_names_lose_what_folders_headers_and_terminals_act_on(given: str, name: str | None) -> None:
    assert safe_file_name(given) == name


def test_a_long_file_name_is_cut() -> None:
    assert len(safe_file_name("a" * 5000) or "") == 200
