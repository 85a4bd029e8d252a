"""``veilleur``: the command line of both programs. Light at the start, because ``check`` runs every few seconds."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point. Exit codes: 0 done, 1 it did not work, 2 wrong use or configuration; ``check`` has its own."""
    if sys.argv[1:2] == ["check"]:
        from shared.tools.cli.check import main as check

        raise SystemExit(check(sys.argv[2:]))
    from shared.tools.cli.commands import run

    run()


if __name__ == "__main__":
    main()
