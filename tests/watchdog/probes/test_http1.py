"""Answers as bytes: what is read out of them, in whatever pieces they come, and what is refused."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchdog.probes.http1 import BODY_LIMIT, HEAD_LIMIT, Answer, BadHttp, CutShort, Reader

BODY = b'{"status":"ok","bootId":"b1"}'
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-LENGTH:  %d \r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n"
    b"5\r\n" + BODY[:5] + b"\r\n%x;name=value\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\nTrailer: x\r\n\r\n"
)
UNTIL_THE_END = b"HTTP/1.0 200\r\n\r\n" + BODY
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + LENGTH


def read(raw: bytes, cuts: list[int] | None = None) -> Answer:
    """The answer in ``raw``, which comes in pieces that end at ``cuts`` and then ends."""
    reader = Reader()
    edges = [0, *sorted(cuts or []), len(raw)]
    for begin, end in itertools.pairwise(edges):
        if (answer := reader.feed(raw[begin:end])) is not None:
            return answer
    return reader.end()


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED, UNTIL_THE_END, INTERIM], ids=["length", "chunked", "end", "interim"])
@given(cuts=st.lists(st.integers(0, len(INTERIM)), max_size=12))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(raw: bytes, cuts: list[int]) -> None:
    assert read(raw, [min(cut, len(raw)) for cut in cuts]) == Answer(200, None, BODY)


@given(st.sampled_from([LENGTH, CHUNKED, INTERIM]), st.data())
def test_an_answer_that_ends_too_early_is_cut_short(raw: bytes, data: st.DataObject) -> None:
    whole = len(raw) if raw is not CHUNKED else raw.index(b"0\r\nTrailer") + 3
    with pytest.raises(CutShort):
        read(raw[: data.draw(st.integers(0, whole - 1))])


@given(st.binary(max_size=300))
def test_any_bytes_lead_to_an_answer_or_to_a_named_fault(junk: bytes) -> None:
    for raw in (junk, b"HTTP/1.1 200 OK\r\n" + junk, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + junk):
        try:
            assert 200 <= read(raw).status <= 999
        except (BadHttp, CutShort):
            pass


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01",
        b"<html>",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_LIMIT,
    ],
)
def test_what_is_no_http_is_told_at_once(raw: bytes) -> None:
    with pytest.raises(BadHttp):
        Reader().feed(raw)


def test_the_status_line_decides_where_no_body_matters() -> None:
    assert Reader().feed(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\n") == Answer(502, None, b"")
    assert Reader().feed(b"HTTP/1.1 204 No Content\r\n\r\n") == Answer(204, None, b"")
    assert Reader().feed(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 2\r\n\r\n{}") == Answer(503, None, b"{}")
    assert Reader().feed(b"HTTP/1.1 302 Found\r\nlocation: /a b\r\n\r\n") == Answer(302, "/a b", b"")


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * (BODY_LIMIT + 1),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BODY_LIMIT + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + b"x" * (BODY_LIMIT + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["length", "end", "chunk", "one chunk of many"],
)
def test_a_body_is_read_up_to_its_limit_and_no_further(raw: bytes) -> None:
    reader = Reader()
    answer = reader.feed(raw)
    while answer is None:
        answer = reader.feed(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    assert len(answer.body) == BODY_LIMIT


def test_interim_answers_without_an_end_are_refused() -> None:
    with pytest.raises(BadHttp):
        Reader().feed(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    reader = Reader()
    with pytest.raises(BadHttp):
        for _ in range(1000):
            reader.feed(b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n")


@pytest.mark.parametrize(
    "piece",
    [b"1\r\na\r\n", b"1;x=y\r\na\r\n", b"0000001\r\na\r\n"],
)
def test_a_body_in_the_smallest_chunks_costs_no_time(piece: bytes) -> None:
    begun = time.thread_time()
    with pytest.raises(BadHttp):
        Reader().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 200_000)
    assert time.thread_time() - begun < 0.5


def test_an_answer_in_single_bytes_costs_no_time() -> None:
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000 + b"\r\n\r\n"
    reader, begun = Reader(), time.thread_time()
    for at in range(len(head)):
        assert reader.feed(head[at : at + 1]) is None
    assert time.thread_time() - begun < 1.0
    assert reader.end().status == 200
