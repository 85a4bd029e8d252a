"""The parts of the fake server that need no engine: what is owed, what goes wrong, files, the control API."""

from __future__ import annotations

import os
from typing import cast

import pytest

from tests.fake_whatsapp import content, media
from tests.fake_whatsapp.accounts import Companion
from tests.fake_whatsapp.connection import Connection
from tests.fake_whatsapp.faults import Faults
from tests.fake_whatsapp.jid import phone_jid
from tests.fake_whatsapp.nodes import Node
from tests.fake_whatsapp.offline_queue import OfflineQueue, key_of
from tests.fake_whatsapp.remote import ControlError, Remote, ServerProcess
from tests.fake_whatsapp.routing import Router
from tests.fake_whatsapp.signal_session import DeviceKeys
from tests.fake_whatsapp.world import World


def test_a_stanza_is_owed_until_it_is_acknowledged() -> None:
    queue = OfflineQueue()
    queue.add(Node("message", {"id": "1"}))
    queue.add(Node("receipt", {"id": "1", "type": "read", "participant": "a"}))
    queue.add(Node("receipt", {"id": "1", "type": "read", "participant": "b"}))
    assert (len(queue), queue.count("receipt")) == (3, 2)
    assert queue.settle("message:1") is not None
    assert queue.settle("message:1") is None
    queue.settle(key_of("receipt", Node("ack", {"id": "1", "type": "read", "participant": "b"})))
    assert [stanza.text("participant") for stanza in queue] == ["a"]
    assert queue.get(0) is None
    assert queue.end == 3


def test_the_acknowledgement_of_a_message_does_not_settle_its_repeat() -> None:
    queue = OfflineQueue()
    first, repeat = Node("message", {"id": "1"}), Node("message", {"id": "1", "t": 2})
    queue.add(first)
    queue.add(repeat)  # the device asked for it again, and acknowledges the first only then
    assert queue.settle("message:1") is first
    assert list(queue) == [repeat]
    assert queue.settle("message:1") is repeat
    assert len(queue) == 0


class _Line:
    """The connection of a device that reads by itself, and to which nothing has to be sent here."""

    def __init__(self, companion: Companion) -> None:
        self.companion = companion

    async def send(self, _stanza: Node) -> None:
        pass


@pytest.mark.parametrize("order", [("retry", "ack"), ("ack", "retry")])
async def test_a_message_that_is_asked_for_again_is_owed_until_its_repeat_is_acknowledged(
    order: tuple[str, str],
) -> None:
    world, keys = World(), DeviceKeys()
    router = Router(world)
    reader = Companion("2", 1, keys.identity.public, b"", 1, (1, keys.signed_prekey.public, b""))
    world.account("2").companions[1] = reader
    line = cast(Connection, _Line(reader))
    sent = await router.phone_sends("1", phone_jid("2"), content.text("hello"))
    retry = Node("receipt", {"id": sent, "to": phone_jid("1"), "type": "retry"}, [Node("retry", {"count": 1})])
    ack = Node("ack", {"class": "message", "id": sent})
    for step in order:
        await router.handle(line, retry if step == "retry" else ack)
    assert [stanza.children()[0].text("count") for stanza in reader.queue] == ["1"], "the repeat, and nothing else"
    await router.handle(line, ack)
    assert len(reader.queue) == 0


def test_planned_failures_are_met_one_by_one_and_the_last_one_stays_when_asked() -> None:
    faults = Faults(login_failures={"1": [{"reason": "503"}, {"reason": "405"}]})
    assert faults.next_login_failure("1") == {"reason": "503"}
    faults.forever.add("1")
    assert [faults.next_login_failure("1") for _ in range(3)] == [{"reason": "405"}] * 3
    assert faults.next_login_failure("2") is None
    faults.silent_logins["2"] = 1
    assert [faults.begins_silent("2") for _ in range(2)] == [True, False]
    assert Faults.hits({"all"}, "3")


@pytest.mark.parametrize("kind", list(media.MEDIA_KEYS))
def test_a_file_is_sealed_and_a_changed_one_is_refused(kind: str) -> None:
    key, plain = os.urandom(32), os.urandom(1000)
    sealed = media.seal(kind, plain, key)
    assert media.open_sealed(kind, sealed, key) == plain
    with pytest.raises(media.MediaError):
        media.open_sealed(kind, sealed[:-1] + bytes((sealed[-1] ^ 1,)), key)


async def test_the_control_api_answers_deeds_refuses_nonsense_and_forgets_on_reset(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    process = ServerProcess(tmp_path_factory.mktemp("whatsapp"))
    try:
        async with Remote(process) as server:
            assert await server("send", sender="1", chat="2", body="to nobody")
            assert (await server("account", number="2"))["companions"] == []
            assert await server("flood", sender="1", chats=["2"], count=3)
            for op, body in (
                ("no_such_op", {}),
                ("_handle", {}),
                ("faults", {"no_such_fault": 1}),
                ("scan", {"code": "nonsense", "number": "2"}),
                ("type_code", {"number": "2", "code": "AAAA-AAAA"}),
                ("send", {"sender": "1", "chat": "2", "kind": "poem"}),
                ("send", {"sender": "1", "chat": "9@g.us", "body": "no such group"}),
                ("file", {"kind": "image", "path": "/none", "key": "00" * 32}),
            ):
                with pytest.raises(ControlError):
                    await server(op, **body)
            await server("faults", ignore_pings=["all"], latency_ms=1)
            await server("reset")
            assert (await server("stats"))["online"] == 0
    finally:
        process.stop()
