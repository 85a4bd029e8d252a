"""Runs ``pip check``; only what the project leaves out on purpose may be missing.

``[[tool.uv.dependency-metadata]]`` in pyproject.toml says what a package needs here, instead of what it says itself
(docs/decisions/0057). Whatever else pip finds missing or of a wrong version fails the check.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
_MISSING = re.compile(r"(\S+) \S+ requires (\S+), which is not installed\.")


def needed(package: str) -> set[str] | None:
    """What the project says that a package needs; None where the package's own word holds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for entry in project["tool"]["uv"]["dependency-metadata"]:
        if canonicalize_name(entry["name"]) == canonicalize_name(package):
            return {canonicalize_name(Requirement(line).name) for line in entry["requires-dist"]}
    return None


def left_out(package: str) -> set[str]:
    """What a package asks for, as it is installed, and the project leaves out."""
    kept = needed(package)
    if kept is None:
        return set()
    asked = {canonicalize_name(Requirement(line).name) for line in metadata.requires(package) or ()}
    return asked - kept


def unexpected(complaints: str) -> list[str]:
    """The lines of ``pip check`` that the project does not explain."""
    found = []
    for line in complaints.splitlines():
        missing = _MISSING.fullmatch(line)
        if missing is None or canonicalize_name(missing[2]) not in left_out(missing[1]):
            found.append(line)
    return found


def main() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    found = unexpected(done.stdout) if done.returncode else []
    if done.returncode and not done.stdout:
        found = [done.stderr]
    sys.stdout.write("\n".join(found) + "\n" if found else "No broken requirements found.\n")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
