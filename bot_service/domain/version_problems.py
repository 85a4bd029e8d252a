"""Why only the engine's own client version can be announced, and what to do about it. Pure.

The keys are the stable reasons of ``CopyError``. No text names a path, because public pages show
them; the log has the detail.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.translation import N_


@dataclass(frozen=True, slots=True)
class Problem:
    """``says`` ends the sentence of :func:`sentence`; ``todo`` is for the operator."""

    says: str
    todo: str


PROBLEMS = {
    "not_installed": Problem(
        N_("its native library is not there, or is there twice"),
        "install the locked packages (make venv), or use the image of this release",
    ),
    "not_unique": Problem(
        N_("its native library does not hold the version where it is expected"),
        "install the locked packages (make venv), or upgrade Veilleur",
    ),
    "not_writable": Problem(
        N_("no copy of its library can be written to DATA_DIR/engine"),
        "make DATA_DIR and its folder engine writable for the user of the service",
    ),
    "no_space": Problem(
        N_("DATA_DIR has no room for a copy of its library"),
        "free at least 0.5 GiB beside DATA_DIR",
    ),
    "not_loadable": Problem(
        N_("an engine worker could not load its copy of the library"),
        "look into the log for engine.library.copy_failed, and check the memory and the file system of DATA_DIR",
    ),
    "not_executable": Problem(
        N_("DATA_DIR is mounted with noexec, and a copy of its library is a program"),
        "mount DATA_DIR without noexec, or set DATA_DIR to a folder of another file system",
    ),
    "damaged": Problem(
        N_("a copy of its library was damaged right after it was written"),
        "check the disk below DATA_DIR",
    ),
}


def says(reason: str) -> str:
    """The text for a reason; an unknown one is shown without underscores."""
    known = PROBLEMS.get(reason)
    return reason.replace("_", " ") if known is None else known.says


def sentence(reason: str) -> str:
    """The whole sentence in English."""
    return f"only the engine's own version can be announced: {says(reason)}"
