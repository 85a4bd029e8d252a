"""The container's entry point takes over folders of root and drops every privilege."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Interpreters may live where uid 10001 cannot look, so the command is one of the system's, and a
# process that has to begin as 10001 becomes so after its imports.
REPORT = ["/bin/cat", "/proc/self/status"]
AS_10001 = (
    "import os, sys; from shared.tools import entrypoint; "
    "os.setgroups([]); os.setgid(10001); os.setuid(10001); entrypoint.main(sys.argv[1:])"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change owners of folders (.ci/run has it)")


def start(
    command: list[str], environ: dict[str, str], interpreter: tuple[str, ...] = ("-m", "shared.tools.entrypoint")
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *interpreter, *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def identity(status: str) -> dict[str, list[str]]:
    lines = (line.partition(":") for line in status.splitlines())
    return {name: value.split() for name, _, value in lines if name in ("Uid", "Gid", "Groups", "CapEff", "CapPrm")}


DROPPED = {"Uid": ["10001"] * 4, "Gid": ["10001"] * 4, "Groups": [], "CapEff": ["0" * 16], "CapPrm": ["0" * 16]}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="veilleur-entrypoint-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@needs_root
def test_as_root_a_root_owned_volume_is_taken_over_and_every_privilege_dropped(folder: Path) -> None:
    volume = folder / "volume"
    (volume / "devices").mkdir(parents=True)
    (volume / "devices" / "a.db").write_text("kept")
    outside = folder / "outside"
    outside.write_text("of root")
    (volume / "link").symlink_to(outside)
    environ = {
        "DATA_DIR": str(volume),
        "RAILWAY_VOLUME_MOUNT_PATH": str(volume),
        "SECRETS_DIR": str(folder / "secrets"),
    }

    done = start(REPORT, environ)

    assert done.returncode == 0, done.stderr
    assert identity(done.stdout) == DROPPED
    owners = {path.name: path.lstat().st_uid for path in [volume, *volume.rglob("*"), folder / "secrets"]}
    assert owners == {"volume": 10001, "devices": 10001, "a.db": 10001, "link": 10001, "secrets": 10001}
    assert outside.stat().st_uid == 0, "what a link points to is never given away"


@needs_root
def test_as_10001_nothing_is_changed(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    foreign = data / "foreign"
    foreign.write_text("of root")
    os.chown(data, 10001, 10001)

    done = start(REPORT, {"DATA_DIR": str(data)}, ("-c", AS_10001))

    assert done.returncode == 0, done.stderr
    assert identity(done.stdout) == DROPPED
    assert foreign.stat().st_uid == 0


@needs_root
def test_as_10001_a_folder_of_root_is_refused_with_what_to_do(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()

    done = start(REPORT, {"DATA_DIR": str(data)}, ("-c", AS_10001))

    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be written by uid 10001" in done.stderr
    assert "RAILWAY_RUN_UID=0" in done.stderr


@needs_root
@pytest.mark.parametrize("folder", ["/", "/etc", "/usr/lib/veilleur", "/root"])
def test_system_folders_are_never_given_away(folder: str) -> None:
    done = start(REPORT, {"DATA_DIR": folder})

    assert done.returncode == 1
    assert "system folder" in done.stderr
    assert Path("/etc").stat().st_uid == 0


def test_a_command_that_does_not_exist_ends_with_one_clear_line(folder: Path) -> None:
    done = start(["/nowhere/program"], {"DATA_DIR": str(folder)})

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Cannot start: /nowhere/program cannot be started (No such file or directory)\n"


def test_no_command_is_refused() -> None:
    done = start([], {})

    assert (done.returncode, done.stderr) == (1, "Cannot start: no command was given\n")
