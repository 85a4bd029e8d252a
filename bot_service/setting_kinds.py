"""Kinds of variables that only the bot service has: how their text is read, and what is accepted."""

from __future__ import annotations

import shlex
from urllib.parse import parse_qsl, urlsplit

from bot_service.domain import client_version
from bot_service.domain.components import OWNER, SESSIONS, Component
from bot_service.engines.port import EngineError
from bot_service.engines.simulator.options import SimulatorOptions
from shared.settings import Kind, Secret, line


def database_url() -> Kind:
    """The address of the store; a secret, because it may carry a password."""

    def parse(raw: str) -> Secret:
        if not raw.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError
        return Secret(raw)

    return Kind(parse, "sqlite:///<path> or postgresql://…", secret=True)


def pooler_url() -> Kind:
    """The address of PostgreSQL or a pooler; a secret, because it may carry a password."""

    def parse(raw: str) -> Secret:
        if not raw.startswith(("postgresql://", "postgres://")):
            raise ValueError
        return Secret(raw)

    return Kind(parse, "postgresql://…", secret=True)


_OBJECT_STORE = frozenset({"region", "endpoint"})


def object_store_url() -> Kind:
    """A bucket; a secret, because it may carry credentials."""

    def parse(raw: str) -> Secret:
        parts = urlsplit(raw)
        given = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        if parts.scheme != "s3" or not parts.hostname or parts.fragment or not given <= _OBJECT_STORE:
            raise ValueError
        return Secret(raw)

    return Kind(parse, "s3://[<key id>:<secret>@]<bucket>[/<prefix>][?region=…&endpoint=…]", secret=True)


def command() -> Kind:
    """A command line, split as a shell splits it."""

    def parse(raw: str) -> tuple[str, ...]:
        words = tuple(shlex.split(raw))
        if not words:
            raise ValueError
        return words

    return Kind(parse, "a command line")


def whatsapp_version() -> Kind:
    """How the announced client version is chosen."""
    return Kind(client_version.parse_setting, "auto, builtin, or a version such as 2.3000.1047769893")


def simulator_options() -> Kind:
    """``name=value`` pairs between commas, each an option of the simulator."""

    def parse(raw: str) -> dict[str, str]:
        found = [part.partition("=") for part in raw.split(",") if part.strip()]
        options = {name.strip(): value.strip() for name, _, value in found}
        try:
            SimulatorOptions.read(options)
        except EngineError as error:
            raise ValueError from error
        return options

    return Kind(parse, "name=number pairs between commas, named in docs/simulator.md")


MOST_COMPONENTS = 20


def component_list() -> Kind:
    """``Lyon=owner:lyon, Support=sessions:support-``: groups of sessions by name."""

    def parse(raw: str) -> tuple[Component, ...]:
        found = tuple(_component(part) for part in raw.split(",") if part.strip())
        if len(found) > MOST_COMPONENTS or len({each.name for each in found}) != len(found):
            raise ValueError
        return found

    return Kind(
        parse,
        f"up to {MOST_COMPONENTS} different names, each as name=owner:<owner> or name=sessions:<beginning of the ids>,"
        " separated by commas",
    )


def _component(part: str) -> Component:
    name, _, group = (each.strip() for each in part.partition("="))
    line(60).parse(name)
    if group.startswith(OWNER) and len(group) > len(OWNER):
        return Component(name, owner=group.removeprefix(OWNER))
    if group.startswith(SESSIONS) and len(group) > len(SESSIONS):
        return Component(name, prefix=group.removeprefix(SESSIONS).removesuffix("*"))
    raise ValueError
