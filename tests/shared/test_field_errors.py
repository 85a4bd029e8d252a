"""A refused value is named with what is accepted, in plain words, and never repeated."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from shared.web import body, errors


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    file_name: Annotated[str, Meta(max_length=3)] | None = None
    seconds: Annotated[int, Meta(ge=0, le=10)] = 0


class Request(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    to: Annotated[str, Meta(pattern=r"^[0-9]+$", description="digits")]
    kind: Literal["text", "poll"] = "text"
    colour: Colour = Colour.RED
    inner: Inner | None = None
    many: Annotated[list[Annotated[int, Meta(gt=0)]], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [1])
    words: dict[str, Annotated[str, Meta(min_length=2)]] = {}
    ready: bool = False
    ratio: float = 0.5


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        ("{}", "to: is needed"),
        ("[]", "body: must be an object, not a list"),
        ('{"to": "secret"}', "to: must be digits"),
        ('{"to": 5}', "to: must be digits"),
        ('{"to": "1", "kind": "secret"}', "kind: must be one of poll, text"),
        ('{"to": "1", "colour": "secret"}', "colour: must be one of red, blue"),
        ('{"to": "1", "inner": {"fileName": "secret"}}', "inner.fileName: must have at most 3 characters"),
        ('{"to": "1", "inner": {"seconds": 11}}', "inner.seconds: must be at most 10"),
        ('{"to": "1", "inner": {"seconds": 1.5}}', "inner.seconds: must be a whole number, not a number"),
        ('{"to": "1", "inner": {"secret": 1}}', "inner.secret: is not known here; known are fileName, seconds"),
        ('{"to": "1", "inner": []}', "inner: must be an object, not a list"),
        ('{"to": "1", "many": []}', "many: must have at least 1 entry"),
        ('{"to": "1", "many": [1, 0]}', "many[1]: must be at least 1"),
        ('{"to": "1", "many": "secret"}', "many: must be a list, not a text"),
        ('{"to": "1", "words": {"a": "x"}}', "words[...]: must have at least 2 characters"),
        ('{"to": "1", "ready": "yes"}', "ready: must be true or false, not a text"),
        ('{"to": "1", "ratio": null}', "ratio: must be a number, not null"),
    ],
)
def test_a_refused_value_says_what_is_accepted(raw: str, detail: str) -> None:
    with pytest.raises(errors.Problem) as refused:
        body.decode(raw.encode(), Request)
    assert (refused.value.status, refused.value.detail) == (422, detail)
