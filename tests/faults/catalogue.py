"""Every fault of the suite, in the order of the table."""

from __future__ import annotations

from tests.faults import of_disks, of_processes, of_sessions, of_webhooks

FAULTS = [*of_sessions.FAULTS, *of_processes.FAULTS, *of_disks.FAULTS, *of_webhooks.FAULTS]
