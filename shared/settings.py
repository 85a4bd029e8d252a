"""Reads the environment into typed, frozen settings; reports all wrong variables together, by name.

A settings class is a frozen dataclass with fields made by :func:`setting`. For a secret ``NAME``,
``NAME_FILE`` may hold the path of a file with the value.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import urlsplit

from shared import alert_addresses, secret_text, visible
from shared.settings_spelling import misspelt

S = TypeVar("S")
N = TypeVar("N", int, float)


class Secret:
    """A text that ``repr``, ``str`` and logs print as a mask. ``reveal()`` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Unusable(ValueError):
    """A value that cannot be used; the text says why and contains nothing of it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of value is read from text, and what is accepted in words."""

    parse: Callable[[str], Any]
    accepts: str
    secret: bool = False


def _within(read: Callable[[str], N], low: N, high: N) -> Callable[[str], N]:
    def parse(text: str) -> N:
        value = read(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def integer(low: int, high: int) -> Kind:
    return Kind(_within(int, low, high), f"a whole number from {low} to {high}")


def number(low: float, high: float) -> Kind:
    return Kind(_within(float, low, high), f"a number from {low:g} to {high:g}")


_UNIT_MS = {"": 1, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration(low_ms: int, high_ms: int) -> Kind:
    """Milliseconds: ``600000``, or with a unit ``10m`` (ms, s, m, h, d)."""

    def milliseconds(text: str) -> int:
        match = re.fullmatch(r"(\d+)\s*(ms|s|m|h|d|)", text.strip().lower())
        if not match:
            raise ValueError
        return int(match[1]) * _UNIT_MS[match[2]]

    parse = _within(milliseconds, low_ms, high_ms)
    return Kind(parse, f"milliseconds from {low_ms} to {high_ms}, or a number with ms, s, m, h or d (10m, 24h, 7d)")


_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def boolean() -> Kind:
    return Kind(lambda text: _BOOLEANS[text.strip().lower()], "true or false")


def choice(*names: str) -> Kind:
    def parse(text: str) -> str:
        value = text.strip().lower()
        if value not in names:
            raise ValueError
        return value

    return Kind(parse, "one of " + ", ".join(names))


def choices(*names: str) -> Kind:
    """Several of ``names``, separated by commas; order is kept, repetitions are dropped."""

    def parse(text: str) -> tuple[str, ...]:
        values = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
        if any(value not in names for value in values):
            raise ValueError
        return values

    return Kind(parse, "a list, separated by commas, of " + ", ".join(names))


def text(pattern: str = r".+", accepts: str = "a text that is not empty") -> Kind:
    def parse(raw: str) -> str:
        if not re.fullmatch(pattern, raw):
            raise ValueError
        return raw

    return Kind(parse, accepts)


def line(longest: int) -> Kind:
    """One line of visible text that people read on pages and in alerts."""

    def parse(raw: str) -> str:
        if len(raw.strip()) > longest:
            raise ValueError
        if not visible.is_plain_name(raw.strip()):
            raise Unusable("it is not visible text on one line")
        return raw.strip()

    return Kind(parse, f"up to {longest} visible characters on one line")


def path() -> Kind:
    def parse(raw: str) -> Path:
        if "\0" in raw:
            raise ValueError
        return Path(raw)

    return Kind(parse, "a path")


def secret(min_length: int = 16) -> Kind:
    """One line of printable ASCII, because it travels in headers."""

    def parse(raw: str) -> Secret:
        if len(raw) < min_length or not (raw.isascii() and raw.isprintable()):
            raise ValueError
        if raw != raw.strip() or raw.lower() in EXAMPLE_SECRETS or raw.lower().startswith(("change", "your-")):
            raise ValueError
        return Secret(raw)

    return Kind(
        parse, f"at least {min_length} characters, one line of printable ASCII, and not an example value", secret=True
    )


def _checked_url(raw: str, schemes: tuple[str, ...], *, userinfo: bool) -> str:
    parts = urlsplit(raw.strip())
    if parts.scheme not in schemes or (not userinfo and "@" in parts.netloc):
        raise ValueError
    alert_addresses.host_of(raw.strip())
    return raw.strip()


def url(*schemes: str, userinfo: bool = False) -> Kind:
    """One URL. ``userinfo``: it may hold a user and a password; addresses are shown in logs and
    pages, so by default it must not.
    """
    accepted = schemes or ("http", "https")
    without = "" if userinfo else ", without user and password"
    return Kind(
        lambda raw: _checked_url(raw, accepted, userinfo=userinfo).rstrip("/"),
        f"a URL that begins with {' or '.join(accepted)}://{without}",
    )


def urls(*schemes: str) -> Kind:
    """Several URLs, separated by commas or white space; none holds a user or a password."""
    accepted = schemes or ("http", "https")

    def parse(raw: str) -> tuple[str, ...]:
        parts = alert_addresses.entries(raw)
        return tuple(_checked_url(part, accepted, userinfo=False).rstrip("/") for part in parts)

    return Kind(
        parse,
        f"URLs separated by commas, each beginning with {' or '.join(accepted)}://, without user and password",
    )


def secret_urls() -> Kind:
    """Several URLs of any scheme; they may hold tokens, so they are secrets."""

    def parse(raw: str) -> tuple[Secret, ...]:
        problem = alert_addresses.problem(raw)
        if problem is not None:
            raise Unusable(problem)
        return tuple(Secret(part) for part in alert_addresses.entries(raw))

    return Kind(parse, "URLs separated by commas or spaces", secret=True)


EXAMPLE_SECRETS = frozenset({"changeme", "change-me", "secret", "password", "example", "your-secret-here"})

_UNSET: Any = object()


def setting(name: str, kind: Kind, *, default: Any = _UNSET, shown_default: str | None = None, about: str) -> Any:
    """A field of a settings class, read from the variable ``name``.

    ``shown_default`` is the default as tables print it, where ``str(default)`` is not what a person
    writes.
    """
    metadata = {"name": name, "kind": kind, "about": about, "shown_default": shown_default}
    if default is _UNSET:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Fault:
    """One variable that cannot be used. ``value`` is None for secrets and what may hold one.

    ``why`` says what is wrong, without the value.
    """

    name: str
    value: str | None
    accepts: str
    why: str = ""

    def __str__(self) -> str:
        got = f" {self.why};" if self.why else "" if self.value is None else f" got {self.value!r};"
        return f"{self.name}:{got} accepted: {self.accepts}"


class SettingsError(Exception):
    """All faults of the environment at once."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


def load(cls: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read ``cls`` from ``environ``, by default that of the process.

    An empty value counts as unset: compose files pass empty strings for variables without a value.
    A class may have a method ``faults(self) -> list[Fault]`` that checks variables together. Raises
    :class:`SettingsError`.
    """
    source = os.environ if environ is None else environ
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cast(Any, cls)):
        name, kind = field.metadata["name"], cast(Kind, field.metadata["kind"])
        raw, file, fault = _raw(source, name, kind)
        if fault is not None:
            faults.append(fault)
        elif raw is not None:
            try:
                values[field.name] = kind.parse(raw)
            except (ValueError, KeyError) as error:
                # What stands before an @ in an address may be a password.
                hidden = kind.secret or "@" in raw
                why = str(error) if isinstance(error, Unusable) else ""
                shown = None if hidden else raw
                faults.append(Fault(f"{name}_FILE" if file else name, file or shown, kind.accepts, why))
        elif field.default is dataclasses.MISSING:
            faults.append(Fault(name, None, kind.accepts + " (required)"))
    if faults:
        raise SettingsError(faults)
    loaded = cls(**values)
    judged: list[Fault] = loaded.faults() if hasattr(loaded, "faults") else []
    if judged:
        raise SettingsError(judged)
    return loaded


def _raw(source: Mapping[str, str], name: str, kind: Kind) -> tuple[str | None, str | None, Fault | None]:
    """The text, the file that it came from, and why it cannot be used."""
    value = source.get(name) or None
    file = source.get(f"{name}_FILE") if kind.secret else None
    if not file:
        return value, None, None
    # A value without a slash may be the secret itself, given to the wrong variable.
    shown = file if "/" in file else None
    if value is not None:
        return None, file, Fault(f"{name}_FILE", shown, f"either {name} or {name}_FILE, not both")
    try:
        return secret_text.read(Path(file)), shown, None
    except secret_text.NotASecret as refused:
        return None, file, Fault(f"{name}_FILE", shown, str(refused))


def environment() -> dict[str, str]:
    """A copy of the environment of the process, for programs that start others."""
    return dict(os.environ)


def load_or_exit(cls: type[S], environ: Mapping[str, str] | None = None) -> S:
    """:func:`load`, or every fault and every misspelt name on standard error, and exit code 2."""
    try:
        return load(cls, environ)
    except SettingsError as error:
        exit_for(error.faults, misspelt(cls, os.environ if environ is None else environ))


def exit_for(faults: list[Fault], hints: Sequence[object] = ()) -> NoReturn:
    """Every fault, then every hint on standard error, and exit code 2."""
    lines = [f"Configuration error: {len(faults)} variable(s) cannot be used", *map(str, [*faults, *hints])]
    print("\n  ".join(lines), file=sys.stderr)  # noqa: T201
    raise SystemExit(2) from None


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """The variables of both programs. Each program has a class of its own that adds PORT."""

    host: str | None = setting(
        "HOST",
        text(),
        default=None,
        shown_default="",
        about="Address to listen on; all addresses, IPv4 and IPv6, when empty",
    )
    data_dir: Path = setting(
        "DATA_DIR", path(), default=Path("./data"), about="Folder for the database, keys and sessions"
    )
    secrets_dir: Path | None = setting(
        "SECRETS_DIR",
        path(),
        default=None,
        shown_default="DATA_DIR/secrets",
        about="Folder in which the first start creates secrets that are not set; both programs must use the same folder",
    )
    watchdog_token: Secret | None = setting(
        "WATCHDOG_TOKEN",
        secret(),
        default=None,
        about="Shared by both programs; created at the first start in SECRETS_DIR when unset",
    )
    metrics_token: Secret | None = setting(
        "METRICS_TOKEN", secret(), default=None, about="When set, /metrics of both programs requires it as bearer token"
    )
    own_hosts: str | None = setting(
        "OWN_HOSTS",
        text(r"[\w.*,\s-]+", "host names without ports, separated by commas, or *"),
        default=None,
        about="Further host names by which browsers reach the pages; addresses and local names always work; * allows any",
    )
    installation: str | None = setting(
        "INSTALLATION_NAME",
        line(60),
        default=None,
        about="Name of this installation on its pages and in front of its alerts; the same for both programs",
    )
    heartbeat_interval_ms: int = setting(
        "HEARTBEAT_INTERVAL", duration(100, 60_000), default=2000, about="Time between two beats of /api/heartbeat"
    )
    stall_dump_ms: int = setting(
        "LOOP_STALL_DUMP",
        duration(1000, 3_600_000),
        default=20_000,
        about="When the event loop has not turned for this time, all stacks are written to the log",
    )
    stall_exit_ms: int = setting(
        "LOOP_STALL_EXIT",
        duration(1000, 3_600_000),
        default=60_000,
        about="When the event loop has not turned for this time, the process ends so that it is restarted",
    )
    log_format: str = setting(
        "LOG_FORMAT", choice("auto", "console", "json"), default="auto", about="console on a terminal, json otherwise"
    )
    log_level: str = setting(
        "LOG_LEVEL", choice("debug", "info", "warning", "error"), default="info", about="Lowest level that is logged"
    )

    @property
    def secrets_path(self) -> Path:
        return self.secrets_dir or self.data_dir / "secrets"
