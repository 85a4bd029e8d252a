"""Programs in network namespaces of their own, joined by one bridge: any two of them can be cut off from each other.

Needs root and the command ``ip``. Nothing reaches outside: the network 10.231.x.0/24 exists on this machine only, and goes with
:meth:`Network.close`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess

_numbers = itertools.count()
_UNUSED_MAC = "02:00:00:00:00:66"  # no member has it


def why_not() -> str | None:
    """Why this machine cannot make such a network; None when it can."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "needs root and the command ip (.ci/run has both)"
    name = f"vl{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"needs network namespaces (.ci/run has them): {made.stderr.strip()}"
    _ip("netns", "del", name)
    return None


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """``host`` is the address of the tests themselves, which every member reaches."""

    def __init__(self) -> None:
        taken = _ip("-4", "route", "show")
        self._id = next(
            n for n in itertools.count(os.getpid() + 97 * next(_numbers)) if f"10.231.{n % 256}.0/" not in taken
        )
        self._net = f"10.231.{self._id % 256}"
        self._bridge = f"vlb{self._id % 1000000}"
        self.host = f"{self._net}.1"
        self._members: dict[str, str] = {}
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.host}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")

    def add(self, name: str) -> str:
        """A new member; returns its address."""
        number = len(self._members) + 2
        space, cable = self._space(name), f"vl{self._id % 1000000}-{number}"
        self._members[name] = f"{self._net}.{number}"
        _ip("netns", "add", space)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", cable, "master", self._bridge, "up")
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "link", "set", "eth0", "up")
        _ip("-n", space, "addr", "add", f"{self._members[name]}/24", "dev", "eth0")
        return self._members[name]

    def prefix(self, name: str) -> list[str]:
        """What to put in front of a command that runs at this member."""
        return ["ip", "netns", "exec", self._space(name)]

    def cut(self, one: str, other: str) -> None:
        """Lose every packet between the two, without an error to either of them."""
        for here, there in ((one, other), (other, one)):
            _ip("-n", self._space(here), "neigh", "replace", self._members[there],
                "lladdr", _UNUSED_MAC, "dev", "eth0", "nud", "permanent")  # fmt: skip

    def mend(self, one: str, other: str) -> None:
        for here, there in ((one, other), (other, one)):
            _ip("-n", self._space(here), "neigh", "del", self._members[there], "dev", "eth0")

    def close(self) -> None:
        """Take it down; its programs must have ended."""
        for name in self._members:
            with contextlib.suppress(OSError):
                _ip("netns", "del", self._space(name))
        with contextlib.suppress(OSError):
            _ip("link", "del", self._bridge)

    def _space(self, name: str) -> str:
        return f"vl{self._id}-{name}"
