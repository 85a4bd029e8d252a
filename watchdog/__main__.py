"""``python -m watchdog``. Exit codes: 0 stopped, 1 cannot run, 2 wrong settings.

``--check-settings`` only reads the settings: 0 when all can be used, else 2.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    # Nothing becomes garbage while modules are imported; ``gc_tuning.settle`` enables it.
    gc.disable()

import asyncio
import os
import sys

from shared import gc_tuning, logs, private_folders
from shared.log_writer import unblock_standard_streams
from shared.service_clock import system_service_clock
from shared.service_manager import ServiceManager
from shared.settings import SettingsError, environment, exit_for, load_or_exit
from shared.settings_spelling import log_misspelt
from shared.web.ports import bind_or_exit
from shared.web.server import serve
from watchdog import own_address
from watchdog.app import GUARD, OWN_ADDRESS, build_app
from watchdog.ledger.sqlite import LedgerRefused, open_ledger
from watchdog.notifiers import table
from watchdog.settings import WatchdogSettings


def _refused(why: str | None) -> int:
    print(f"Configuration error: {why}", file=sys.stderr)  # noqa: T201
    return 2


def main() -> int:
    os.umask(0o077)  # files hold keys, pairings and messages: readable by this user only
    unblock_standard_streams()
    settings = load_or_exit(WatchdogSettings)
    logs.configure(settings.log_format, settings.log_level, program="watchdog")
    faults = table.faults(ALERT_URLS=settings.alert_urls, ALERT_FALLBACK_URLS=settings.alert_fallback_urls)
    if faults:
        exit_for(faults)
    if sys.argv[1:] == ["--check-settings"]:
        return 0
    log_misspelt(WatchdogSettings, environment())
    sockets = bind_or_exit(settings.host, settings.port)
    try:
        itself = own_address.on_this_machine(settings, sockets)
        if itself is not None:
            return _refused(itself)
        private_folders.close(settings)
        clock = system_service_clock(settings.clock_steady_after_ms / 1000)
        ledger = open_ledger(settings.database_path, clock)
        app = build_app(settings, ledger, clock=clock, sockets=sockets)
        gc_tuning.settle()
        manager = ServiceManager()
        app[GUARD].turned.subscribe(manager.alive)
        asyncio.run(serve(app, sockets, stop=app[OWN_ADDRESS].stop, manager=manager))
        manager.close()
        if app[OWN_ADDRESS].refused is not None:
            return _refused(app[OWN_ADDRESS].refused)
    except SettingsError as error:
        exit_for(error.faults)
    except LedgerRefused as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except (OSError, ValueError) as error:
        print(f"The watchdog cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        for sock in sockets:
            sock.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
