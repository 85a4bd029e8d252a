"""Programs that see the packages of one lock file only, although more are installed; what they ask for besides is written down."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

from tests.support.processes import ROOT

_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==", re.M)
_SITECUSTOMIZE = """\
import json, os, sys
from importlib.machinery import PathFinder

HERE = os.path.dirname(__file__)
with open(os.path.join(HERE, "hidden.json"), encoding="utf-8") as file:
    HIDDEN = frozenset(json.load(file))

def note(line):
    with open(os.path.join(HERE, "noted"), "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {line}\\n")

class Fence(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            note(name)
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Fence
note("")
"""


def locked(program: str) -> set[str]:
    """The names of all packages that a program's lock file holds."""
    return set(_PIN.findall((ROOT / program / "requirements.lock").read_text(encoding="utf-8")))


class Fence:
    """A folder for PYTHONPATH: each interpreter that has it hides what the lock file of ``program`` does not hold."""

    def __init__(self, folder: Path, program: str) -> None:
        folder.mkdir()
        self.folder = folder
        kept = locked(program)
        owners = metadata.packages_distributions()
        # Some packages carry a module "tests" or the like: the project's own folders stay visible.
        hidden = [
            module
            for module, names in owners.items()
            if not {_canonical(name) for name in names} & kept and not (ROOT / module).is_dir()
        ]
        (folder / "hidden.json").write_text(json.dumps(hidden))
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)

    @property
    def env(self) -> dict[str, str]:
        return {"PYTHONPATH": f"{self.folder}:{ROOT}"}

    def pids(self) -> set[int]:
        """The processes that ran behind it."""
        return {int(line.split(" ")[0]) for line in self._noted()}

    def asked(self) -> set[str]:
        """The hidden modules that were asked for."""
        return {line.split(" ")[1] for line in self._noted()} - {""}

    def _noted(self) -> list[str]:
        return (self.folder / "noted").read_text().splitlines()


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
