"""What the server says to all devices of a group's members when somebody changes the group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.fake_whatsapp.accounts import Group
from tests.fake_whatsapp.jid import group_jid, lid_jid, phone_jid
from tests.fake_whatsapp.nodes import Attr, Node
from tests.fake_whatsapp.world import World


async def members(
    world: World, group: Group, by: str, action: str, numbers: Sequence[str], *, by_lid: bool = False
) -> None:
    """`action` is `add`, `remove`, `promote` or `demote`; members that are gone hear it too."""
    participants: list[Node] = []
    for number in numbers:
        attrs: dict[str, Attr] = {"jid": lid_jid(number) if by_lid else phone_jid(number)}
        if by_lid:
            attrs["phone_number"] = phone_jid(number)
        participants.append(Node("participant", attrs))
    if participants:
        change = Node(action, {"v_id": "2", "prev_v_id": "1"}, participants)
        await raw(world, group, by, [change], {*group.members, *numbers})


async def setting(world: World, group: Group, by: str, tag: str, text: str = "") -> None:
    """`tag` is `subject`, `description`, or the name of a setting."""
    now = world.now_s()
    if tag == "subject":
        node = Node("subject", {"subject": text, "s_t": now, "s_o": phone_jid(by)})
    elif tag == "description":
        body = [Node("body", {}, text.encode())] if text else [Node("delete")]
        node = Node("description", {"id": "d2", "participant": phone_jid(by)}, body)
    else:
        node = Node(tag, {"v_id": "3"})
    await raw(world, group, by, [node], group.members)


async def joined(world: World, group: Group, by: str, number: str, shown: Node) -> None:
    """The group as a member sees it who is new."""
    create: dict[str, Attr] = {"type": "new"}
    await raw(world, group, by, [Node("create", create, [shown])], [number])


async def raw(world: World, group: Group, by: str, children: list[Node], numbers: Iterable[str]) -> None:
    """One notice with these parts to every device of `numbers`."""
    for number in sorted(set(numbers)):
        for companion in world.account(number).companions.values():
            attrs: dict[str, Attr] = {
                "from": group_jid(group.id),
                "type": "w:gp2",
                "id": world.new_id("notify"),
                "t": world.now_s(),
            }
            if by:
                attrs["participant"] = phone_jid(by)
            companion.queue.add(Node("notification", attrs, children))
            if companion.connection is not None:
                await companion.connection.flush()
