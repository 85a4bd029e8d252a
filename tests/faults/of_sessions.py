"""Faults of one session: of its link, of its account, and the silence that no error tells of."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.faults.fast import silence_at_the_defaults
from tests.faults.scene import Fault, Row, Scene, service
from tests.support.receiver import Receiver
from tests.support.waiting import PATIENCE_S, eventually

READY = ("READY", "synced")
DOUBTED = ("DEGRADED", "receive_suspected")


def heals(
    name: str,
    action: str,
    *wanted: tuple[str, str],
    within_s: float = 25.0,
    env: dict[str, str] | None = None,
    **args: Any,
) -> Fault:
    """A fault that ends with the session READY by itself, after ``wanted``: ``within_s`` where nothing else runs."""

    async def run(folder: Path) -> Row:
        async with service(folder, **(env or {})) as scene, scene.watched() as asked:
            before, began = len(await scene.told()), time.monotonic()
            await scene.simulate(action, **args)
            await scene.passes("one", *wanted, after=before, within_s=within_s + PATIENCE_S)
            view = await scene.reaches("one", "READY")
            took_s = time.monotonic() - began
            assert view["acts"] == "nobody"
            assert (await scene.client.get("/api/sessions/other"))["state"] == "READY"
            told = await scene.story(before)
        return Row(told, took_s, "READY again", asked.told())

    return Fault(name, run, long=within_s >= 30)


def ends(name: str, action: str, state: str, acts: str) -> Fault:
    """An end: told with who must act, never retried, and no trouble of any other session."""

    async def run(folder: Path) -> Row:
        async with service(folder) as scene, scene.watched() as asked:
            before, began = len(await scene.told()), time.monotonic()
            await scene.simulate(action)
            view = await scene.reaches("one", state)
            took_s = time.monotonic() - began
            assert (view["acts"], view["wanted"], view["nextTryAt"]) == (acts, "run", None)
            told = await scene.passes("one", (state, view["reason"]), after=before)
            status, refused = await scene.client.call(
                "POST", "/api/sessions/one/messages", {"to": "33612345678", "text": "x"}
            )
            assert (status, refused["code"]) == (409, "sending_frozen"), refused
            assert (await scene.client.get("/api/sessions/other"))["state"] == "READY"
            # The other one goes through a whole drop and return meanwhile; nothing more happens to this one.
            await scene.simulate("drop", "other")
            await scene.passes("other", ("RECONNECTING", "disconnected"), READY)
            assert len(await scene.told()) == before + len(told)
            assert (await scene.client.get("/api/sessions/one"))["state"] == state
            words = await scene.story(before)
        who = f"never retried; a send answers 409 sending_frozen ({refused['reason']})"
        return Row(f"{words}; {who}", took_s, state, asked.told())

    return Fault(name, run)


async def replaced(folder: Path) -> Row:
    """Taken back once after half a minute; the second time within ten minutes it is left to the other client."""
    async with service(folder) as scene, scene.watched() as asked:
        before, began = len(await scene.told()), time.monotonic()
        await scene.simulate("replaced")
        view = await scene.reaches("one", "RECONNECTING")
        assert (view["reason"], view["nextTryAt"] is not None) == ("replaced", True)
        await scene.passes("one", ("RECONNECTING", "replaced"), READY, after=before, within_s=90)
        took_s = time.monotonic() - began
        assert took_s >= 30
        await scene.simulate("replaced")
        view = await scene.reaches("one", "FENCED")
        assert (view["reason"], view["acts"], view["nextTryAt"]) == ("replaced_twice", "owner", None)
        await scene.passes("one", ("FENCED", "replaced_twice"), after=before)
        told = await scene.story(before)
    return Row(told, took_s, "READY after the first time", asked.told())


def careful(name: str, action: str, reason: str) -> Fault:
    """The server refuses one session: careful tries far apart, and no trouble of any other session."""

    async def run(folder: Path) -> Row:
        async with service(folder) as scene, scene.watched() as asked:
            before, began = len(await scene.told()), time.monotonic()
            await scene.simulate(action)
            view = await scene.reaches("one", "RECONNECTING")
            took_s = time.monotonic() - began
            assert (view["reason"], view["nextTryAt"] is not None) == (reason, True)
            await scene.passes("one", ("RECONNECTING", reason), after=before)
            await scene.simulate("drop", "other")
            await scene.passes("other", ("RECONNECTING", "disconnected"), READY)
            assert (await scene.client.get("/api/metrics"))["alerts"] == []
            words = await scene.story(before)
        return Row(f"{words}; next try in 5 min, then 15 and 60, then FAILED", took_s, "seen", asked.told())

    return Fault(name, run)


async def timelocked(folder: Path) -> Row:
    """New chats are locked for a time: known chats go on, the answer says why and until when."""
    async with service(folder) as scene, scene.watched() as asked:
        await scene.simulate("message", **{"from": "33611111111"})
        await scene.all_stored(await _ids(scene))
        began = time.monotonic()
        await scene.simulate("timelock", seconds=600)
        to_new = {"to": "33612345678", "text": "x"}

        async def locked() -> Any:
            status, answer = await scene.client.call("POST", "/api/sessions/one/messages", to_new)
            return answer if status == 409 else None

        answer = await eventually(locked, what="a refusal that names the lock")
        took_s = time.monotonic() - began
        assert (answer["code"], answer["reason"]) == ("sending_frozen", "timelocked")
        assert answer["until"] is not None
        known = await scene.client.post("/api/sessions/one/messages", {"to": "33611111111", "text": "y"})

        async def sent() -> bool:
            return bool((await scene.client.get(f"/api/sessions/one/messages/{known['id']}"))["state"] != "queued")

        await eventually(sent, what="the answer to a known chat going out")
        assert (await scene.client.get("/api/sessions/one"))["state"] == "READY"
    reaction = "stays READY; new chats answer 409 sending_frozen (timelocked) with `until`, known chats go on"
    return Row(reaction, took_s, "reported", asked.told())


async def _ids(scene: Scene) -> list[str]:
    return await eventually(scene.stored, what="the message in the store")  # type: ignore[no-any-return]


async def poison(folder: Path) -> Row:
    """A stanza that kills the stream again and again: told at the third time, credentials kept, cured by what digests it."""
    async with Receiver() as receiver, service(folder) as scene, scene.watched() as asked:
        await scene.client.post("/api/webhooks", {"url": receiver.url, "events": ["session.attention"]})
        before, began = len(await scene.told()), time.monotonic()
        await scene.simulate("poison", everySeconds=2, signature="status@broadcast", times=3)
        await scene.passes("one", ("RECONNECTING", "poison_stanza"), after=before, within_s=90)
        noticed_s = time.monotonic() - began
        attention = await receiver.wait_for(lambda event: event["data"]["attention"] == "poison_stanza")
        assert attention.json["data"]["acts"] == "operator"
        await scene.passes("one", ("RECONNECTING", "poison_stanza"), READY, after=before, within_s=90)
        view = await scene.reaches("one", "READY", within_s=90)
        assert view["paired"] is True
        told = await scene.passes("one", after=before)
        kills = sum(reason in ("stream_error", "poison_stanza") for _, reason in told)
        assert sum(got.json["data"]["attention"] == "poison_stanza" for got in receiver.requests) == 1, "told once"
    reaction = f"{kills} streams killed, backoff between; the third is reported as poison_stanza (acts: operator, once)"
    return Row(f"{reaction}; pairing kept", noticed_s, "reported", asked.told())


async def silence_that_a_fresh_worker_heals(folder: Path) -> Row:
    """Reconnect, a start in another old worker, and then that worker is recycled: its neighbours come back with it."""
    async with service(folder, "third", ENGINE_SESSIONS_PER_WORKER="2") as scene, scene.watched() as asked:
        before, untouched = len(await scene.told()), len(await scene.told("other"))
        neighbour = len(await scene.told("third"))
        began = time.monotonic()
        await scene.simulate("silence", heals="fresh")
        steps = [
            ("RECONNECTING", "reconnect"), DOUBTED, ("RECONNECTING", "rebuild"), DOUBTED,
            ("RECONNECTING", "recycle_worker"), READY,
        ]  # fmt: skip
        await scene.passes("one", DOUBTED, *steps, after=before, within_s=150)
        took_s = time.monotonic() - began
        await scene.reaches("third", "READY")
        told = await scene.story(before)
        # Whoever shared its second worker went through the recycle with it; whoever shares the first one did not.
        assert len(await scene.told("other")) == untouched
        assert len(await scene.told("third")) > neighbour
    return Row(told, took_s, "READY again", asked.told())


def _of_sessions(event: Any) -> str:
    """The type of a notice about sessions, nothing for one about the watchdog that is missing here."""
    return str(event["type"]) if event["data"].get("kind") == "sessions_need_person" else ""


async def silence_that_nothing_heals(folder: Path) -> Row:
    """The whole ladder, then a person is told by event, webhook and ALERT_URLS, and nothing is restarted any more."""
    async with Receiver() as receiver, Receiver() as operator:
        env = {"ENGINE_SESSIONS_PER_WORKER": "2", "ALERT_URLS": operator.url}
        async with service(folder, "third", **env) as scene, scene.watched() as asked:
            await scene.client.post("/api/webhooks", {"url": receiver.url, "events": ["session.attention"]})
            before, began = len(await scene.told()), time.monotonic()
            await scene.simulate("silence", heals="never")
            alert = await operator.wait_for(lambda event: _of_sessions(event) == "service.alert", within_s=180)
            took_s = time.monotonic() - began
            assert (alert.json["data"]["kind"], alert.json["data"]["session"]) == ("sessions_need_person", "one")
            attention = await receiver.wait_for(lambda event: event["data"]["attention"] == "receive_suspected")
            assert attention.json["data"]["acts"] == "operator"
            view = await scene.client.get("/api/sessions/one")
            assert (view["state"], view["acts"]) == ("DEGRADED", "operator")
            told = await scene.passes("one", after=before)
            words = await scene.story(before)
            assert [reason for _, reason in told].count("recycle_worker") == 1
            # Three more probes fail, and another session goes through a drop: nobody restarts anything for it.
            workers = set(scene.program.worker_pids())
            missed = scene.probes_missed("one")
            await eventually(
                lambda: scene.probes_missed("one") >= missed + 3, every_s=0.2, what="three more failed probes"
            )
            await scene.simulate("drop", "other")
            await scene.passes("other", ("RECONNECTING", "disconnected"), READY)
            assert await scene.passes("one", after=before) == told
            assert set(scene.program.worker_pids()) == workers
            assert len(receiver.requests) == 1
            # It goes on sending meanwhile, and is READY by itself once something comes through.
            await scene.client.post("/api/sessions/one/messages", {"to": "33612345678", "text": "x"})
            await scene.simulate("heal")
            await operator.wait_for(lambda event: _of_sessions(event) == "service.recovered")
            await scene.reaches("one", "READY")
    reaction = f"{words}; session.attention, ALERT_URLS sessions_need_person; then no restart; READY when it receives"
    return Row(reaction, took_s, "a person alerted", asked.told())


FAULTS = [
    heals("drop", "drop", ("RECONNECTING", "disconnected"), READY),
    heals(
        "server unavailable for 10 s", "serverUnavailable", ("RECONNECTING", "server_unavailable"), READY, within_s=40
    ),
    heals("stream error", "streamError", ("RECONNECTING", "stream_error"), READY),
    heals("event pump died", "pumpDied", ("RECONNECTING", "pump_died"), READY),
    heals(
        "keepalive time-out", "keepaliveTimeout",
        ("DEGRADED", "keepalive_timeout"), ("RECONNECTING", "keepalive_timeout_reconnect"), READY, within_s=120,
    ),
    heals("one-way silence, a reconnect heals", "silence", DOUBTED, ("RECONNECTING", "reconnect"), READY, within_s=60),
    heals(
        "one-way silence, another worker heals", "silence",
        DOUBTED, ("RECONNECTING", "reconnect"), DOUBTED, ("RECONNECTING", "rebuild"), READY,
        within_s=120, heals="worker",
    ),
    Fault("one-way silence, only a new worker heals", silence_that_a_fresh_worker_heals, long=True),
    Fault("one-way silence, nothing heals", silence_that_nothing_heals, long=True),
    Fault(
        "one-way silence at the defaults, a reconnect heals (clock 20 times as fast)",
        lambda folder: silence_at_the_defaults(folder, "reconnect"),
        long=True,
    ),
    Fault(
        "one-way silence at the defaults, only a new worker heals (clock 20 times as fast)",
        lambda folder: silence_at_the_defaults(folder, "fresh"),
        long=True,
    ),
    Fault("poison stanza every 2 s", poison, long=True),
    ends("logged out", "logout", "LOGGED_OUT", "user"),
    ends("phone gone", "primaryGone", "LOGGED_OUT", "user"),
    ends("banned", "ban", "BANNED", "owner"),
    ends("temporary ban", "tempBan", "TEMP_BANNED", "nobody"),
    careful("client version refused to one account", "outdated", "client_refused"),
    Fault("replaced by another client", replaced, long=True),
    careful("connect refused", "connectRefused", "connect_refused"),
    Fault("time lock", timelocked),
]  # fmt: skip
