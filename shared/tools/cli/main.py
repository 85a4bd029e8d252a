"""Entry point of ``veilleur``. Imports little for ``check``, which runs every few seconds."""

from __future__ import annotations

import sys


def main() -> None:
    """Exit codes: 0 done, 1 failed, 2 wrong use or settings; ``check`` has its own."""
    if sys.argv[1:2] == ["check"]:
        from shared.tools.cli.check import main as check

        raise SystemExit(check(sys.argv[2:]))
    from shared.tools.cli.commands import app

    app(prog_name="veilleur")


if __name__ == "__main__":
    main()
