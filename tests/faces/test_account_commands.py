"""``veilleur groups``, ``contacts``, ``profile``, ``calls``, ``chats`` and ``proxy`` against one running bot service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from bot_service.api.messages.views import MessageState
from shared.tools.cli import chats
from shared.tools.cli.proxy import with_password
from tests.support import processes
from tests.support.processes import Client, free_port
from tests.support.sessions import paired
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

ANN, BOB, EVE = "33612345678", "4915112345678", "33698765432"
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
# As it is, and as it stands in an address.
PASSWORD, QUOTED = "p@ss:w/rd é", "p%40ss%3Aw%2Frd%20%C3%A9"


def cells(out: str) -> list[list[str]]:
    """The rows of a printed table without its head."""
    return [line.split() for line in out.splitlines()[1:]]


@pytest.mark.system
@pytest.mark.timeout(300)
async def test_what_commands_do_is_what_the_api_shows(tmp_path: Path) -> None:
    async with processes.bot(tmp_path).running() as bot, Client(bot.url) as api:
        terminal = Terminal(tmp_path, bot.url)
        await paired(api, "alice")
        group = await groups_and_members(terminal, api)
        await invitations_and_requests(terminal, api, group)
        await people_and_the_own_account(terminal, api, tmp_path)
        await calls(terminal, api)
        await pages(terminal, api)
        await a_proxy(terminal, api, tmp_path)
        assert terminal.json("groups leave alice", group) == {"group": group, "left": True}
        assert terminal.says("groups list alice") == "The account belongs to no group.\n"
        assert (await api.get("/api/sessions/alice/groups"))["groups"] == []
        assert PASSWORD not in bot.output()
        assert QUOTED not in bot.output()


async def groups_and_members(terminal: Terminal, api: Client) -> str:
    """The id of a new group, which Ann and Bob belong to."""
    made = terminal.json("groups create alice Orders", ANN)
    group, path = str(made["id"]), f"/api/sessions/alice/groups/{made['id']}"
    assert (await api.get(path)) == made
    out = terminal.says("groups list alice")
    assert cells(out) == [[group, "Orders", "2", "all"]]
    out = terminal.says(
        "groups change alice", group, "--subject", "Orders 2027", "--announce", "--description", "By day"
    )
    assert "subject       Orders 2027\ndescription   By day\n" in out
    assert "announce      yes\nlocked        no\nmembers       2\n" in out
    assert terminal.says("groups show alice", group) == out
    terminal.says("groups change alice", group, "--no-announce", "--locked", "--description", "")
    found = await api.get(path)
    assert (found["subject"], found["description"], found["announce"], found["locked"]) == (
        "Orders 2027",
        "",
        False,
        True,
    )
    [own] = [member["jid"] for member in found["members"] if member.get("admin")]

    steps: list[tuple[str, str, set[tuple[str, bool]]]] = [
        ("add", "added", {(ANN, False), (BOB, False)}),
        ("promote", "is an administrator", {(ANN, False), (BOB, True)}),
        ("demote", "is no administrator", {(ANN, False), (BOB, False)}),
        ("remove", "removed", {(ANN, False)}),
    ]
    for action, past, after in steps:
        out = terminal.says(f"groups members {action} alice", group, BOB)
        assert cells(out) == [[f"{BOB}@s.whatsapp.net", *past.split()]]
        members = (await api.get(path))["members"]
        roles = {(each["jid"].split("@")[0], each.get("admin", False)) for each in members if each["jid"] != own}
        assert roles == after
    # One of two is refused: the other is done all the same.
    out = terminal.says("groups members add alice", group, ANN, BOB, code=1)
    assert [row[1:] for row in cells(out)] == [["refused", "(error", "409)"], ["added"]]
    out = terminal.says("groups members list alice", group)
    assert [row[1] for row in cells(out)] == ["administrator", "member", "member"]
    assert len(terminal.json("groups members list alice", group)["members"]) == 3
    assert "members: must be a telephone number" in terminal.says("groups members add alice", group, "0612", code=1)
    assert "group: must be" in terminal.says("groups show alice", "x", code=1)
    error = terminal.json("groups show alice", "120000000000000000", code=1)["error"]
    assert (error["code"], error["status"]) == ("refused_by_whatsapp", 409)
    return group


async def invitations_and_requests(terminal: Terminal, api: Client, group: str) -> None:
    link = terminal.says("groups invite show alice", group).strip()
    assert link == (await api.get(f"/api/sessions/alice/groups/{group}/invite"))["link"]
    reset = terminal.json("groups invite reset alice", group)["link"]
    assert reset != link
    assert "(refused_by_whatsapp)" in terminal.says("groups join alice", link, code=1)
    assert terminal.json("groups join alice", reset) == {"group": group}
    assert "code: " in terminal.says("groups join alice", "no link", code=1)
    assert terminal.says("groups requests list alice", group) == "No one asks to join.\n"
    action = {"action": "joinRequest", "group": group, "from": EVE}
    await api.post("/api/sessions/alice/simulate", action)
    assert cells(terminal.says("groups requests list alice", group))[0][0] == f"{EVE}@s.whatsapp.net"
    [asked] = terminal.json("groups requests list alice", group)["requests"]
    assert asked["jid"] == f"{EVE}@s.whatsapp.net"
    # As with the real engine, which has no call for it.
    for answer in ("approve", "reject"):
        out = terminal.says(f"groups requests {answer} alice", group, EVE, code=1)
        assert "(unsupported_by_engine)" in out


async def people_and_the_own_account(terminal: Terminal, api: Client, folder: Path) -> None:
    out = terminal.says("contacts lid alice", ANN)
    found = await api.get(f"/api/sessions/alice/lids/{ANN}")
    assert out == f"jid           {found['jid']}\nlid           {found['lid']}\n"
    [known, _] = terminal.json("contacts check alice", f"+{ANN}", "33600000000")["numbers"]
    assert (known["number"], known["exists"], known["lid"]) == (ANN, True, found["lid"])
    out = terminal.says("contacts check alice", ANN, "33600000000")
    assert [row[:2] for row in cells(out)] == [[ANN, "yes"], ["33600000000", "no"]]
    assert "numbers: must be a telephone number" in terminal.says("contacts check alice", "0612", code=1)
    assert "sessions watch alice" in terminal.says("contacts follow alice", ANN)
    inbox = await api.post("/api/sessions/alice/simulate", {"action": "inbox"})
    assert inbox["result"]["follows"] == [f"{ANN}@s.whatsapp.net"]
    picture = await api.get(f"/api/sessions/alice/picture?chat={ANN}")
    assert terminal.says("chats picture alice", ANN, "--preview") == f"{picture['url']}\n"
    file = folder / "picture.jpg"
    file.write_bytes(JPEG)
    made = terminal.json("profile picture alice", str(file))
    assert (await api.get("/api/sessions/alice/profile"))["pictureId"] == made["id"]
    file.write_bytes(b"GIF89a")
    assert "data: must be a JPEG" in terminal.says("profile picture alice", str(file), code=1)
    file.write_bytes(JPEG + bytes(1024 * 1024))
    assert "FILE: must be a JPEG of at most 1 MB" in terminal.says("profile picture alice", str(file), code=2)


async def calls(terminal: Terminal, api: Client) -> None:
    watching = asyncio.create_task(asyncio.to_thread(terminal.says, "sessions watch alice --count 1"))
    while not watching.done():
        await api.post("/api/sessions/alice/simulate", {"action": "call", "id": "CALL1", "from": ANN})
        await asyncio.wait({watching}, timeout=0.1)
    assert (await watching).endswith(f"call.received  CALL1 from {ANN}@s.whatsapp.net\n")
    assert terminal.says("calls reject alice CALL1", ANN) == "Call CALL1 is rejected.\n"
    assert terminal.json("calls reject alice CALL2", ANN) == {"id": "CALL2", "rejected": True}
    inbox = await api.post("/api/sessions/alice/simulate", {"action": "inbox"})
    assert [each["call"] for each in inbox["result"]["rejected"]] == ["CALL1", "CALL2"]
    assert "from: must be" in terminal.says("calls reject alice CALL1", "x", code=1)


async def pages(terminal: Terminal, api: Client) -> None:
    for number in range(3):
        terminal.says("sessions send alice", ANN, f"text-{number}")
    out = terminal.says("chats messages alice --direction out --limit 2")
    assert "text-2" in out
    assert "text-1" in out
    option = out.splitlines()[-1].removeprefix("There is more: add ").split()
    assert option[0] == "--before"
    [first] = terminal.json("chats messages alice --limit 2", *option)["messages"]
    assert first["text"] == "text-0"
    assert terminal.says("chats messages alice --direction in") == "No such message.\n"
    assert "There is more" not in terminal.says("chats messages alice --chat", ANN)
    for person in (BOB, EVE):
        await api.post("/api/sessions/alice/simulate", {"action": "message", "from": person})

    async def known() -> Any:
        found = (await api.get("/api/sessions/alice/contacts"))["contacts"]
        return found if len(found) == 2 else None

    first, second = await eventually(known, what="two contacts")
    out = terminal.says("contacts list alice --limit 1")
    assert out.endswith(f"There is more: add --after {first['jid']}\n")
    assert terminal.json("contacts list alice --limit 1 --after", first["jid"])["contacts"] == [second]

    async def stored() -> bool:
        found = await api.get(f"/api/sessions/alice/messages?direction=in&chat={EVE}")
        return len(found["messages"]) == 1

    # WhatsApp's phone book knows a person before the service has read the message from the journal.
    await eventually(stored, what="the message of the second one")
    assert cells(terminal.says("chats messages alice --direction in --chat", EVE))[0][3:6] == [
        "in",
        "Hello",
        "received",
    ]
    for wrong in ("x", ""):
        assert "chat: must be" in terminal.says("chats messages alice --chat", wrong, code=1)


async def a_proxy(terminal: Terminal, api: Client, folder: Path) -> None:
    file = folder / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    address, shown = "socks5://shop@proxy.example.com:1080", "socks5://proxy.example.com:1080"

    async def of_api() -> Any:
        return (await api.get("/api/sessions/alice"))["proxy"]

    assert terminal.says("proxy show alice").startswith("alice has no proxy of its own")
    out = terminal.says("proxy set alice", address, "--password-file", str(file))
    assert out == f"alice has the proxy {shown} from its next start: veilleur sessions restart alice\n"
    assert await of_api() == shown
    assert terminal.json("proxy show alice") == {"id": "alice", "proxy": shown}
    assert terminal.says("proxy clear alice").startswith("alice has no proxy of its own from its next start")
    assert await of_api() is None
    value = terminal.json("proxy set alice", address, "--password-file", "-", typed=f"{PASSWORD}\n")
    assert (value["proxy"], await of_api()) == (shown, shown)
    assert QUOTED not in str(value)
    assert terminal.json("proxy set alice http://127.0.0.1:8080")["proxy"] == "http://127.0.0.1:8080"
    assert "proxy: must be a URL that begins with" in terminal.says("proxy set alice ftp://h", code=1)
    made = terminal.says("sessions create bob --no-start")
    assert made == "Session bob is created. Start it with: veilleur sessions start bob\n"
    assert (await api.get("/api/sessions/bob"))["wanted"] != "run"


# What is refused before the bot is asked: command, what the error names, what it says.
REFUSED = [
    ("groups show alice ..", "GROUP", "must not be empty, '.' or '..'"),
    ("groups leave . x", "SESSION", "must not be empty, '.' or '..'"),
    ("groups members add alice x", "MEMBER...", "Missing argument"),
    ("groups change alice x", "--subject", "--no-locked is needed"),
    ("profile presence alice away", "away", "'available', 'unavailable'"),
    ("profile set alice", "--name", "--about is needed"),
    ("chats messages alice --state new", "--state", "'queued', 'sent'"),
    ("profile picture alice /nonexistent", "FILE", "does not exist"),
    ("chats messages alice --direction up", "--direction", "'in', 'out'"),
    ("chats messages alice --before -1", "--before", "not in the range"),
    ("proxy set alice http://shop:s3cr3t@h:80", "ADDRESS", "must hold no password"),
    ("proxy set alice http://h:80 --password-file -", "ADDRESS", "must name a user"),
    ("proxy set alice http://shop@h:80 --password-file -", "--password-file", "must be UTF-8 text, and not empty"),
    ("proxy set alice http://shop@h:80 --password-file /nonexistent", "--password-file", "must be a readable file"),
]


@pytest.fixture
def alone(tmp_path: Path) -> Terminal:
    """A terminal whose bot does not answer."""
    return Terminal(tmp_path, f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(("command", "named", "said"), REFUSED, ids=lambda text: text[:48])
def test_a_wrong_argument_is_named_with_what_is_accepted(alone: Terminal, command: str, named: str, said: str) -> None:
    out = alone.says(command, code=2)
    assert named in out
    assert said in out
    assert "s3cr3t" not in out
    assert "Traceback" not in out


def test_a_password_is_quoted_for_the_address(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    assert with_password("http://shop@[::1]:80", str(file)) == f"http://shop:{QUOTED}@[::1]:80"
    assert with_password("http://shop@[::1]:80", None) == "http://shop@[::1]:80"


def test_a_password_that_is_no_text_is_refused_without_showing_it(alone: Terminal) -> None:
    result = alone.run("proxy set alice http://shop@h:80 --password-file -", typed=b"s3cr3t\xff\xfe")
    assert (result.exit_code, "must be UTF-8 text" in result.output) == (2, True)
    assert "s3cr3t" not in result.output


def test_messages_can_be_narrowed_to_every_state_of_the_api() -> None:
    assert get_args(chats.MessageState) == get_args(MessageState)


def test_leaving_a_group_asks_first(alone: Terminal) -> None:
    said: Callable[..., str] = alone.says
    assert "Leave x?" in said("groups leave alice x", typed="n\n", code=1)
    assert "(unreachable)" in said("groups leave alice x --yes", code=1)
