"""Keeps the collector of cycles from holding the event loop: what the program is made of is not walked again and again."""

from __future__ import annotations

import gc


def settle() -> None:
    """Once everything is built and read: whatever lives now is left out of every later collection.

    Modules, classes, routes, compiled queries and the sessions that were read live as long as the program; a full
    collection that walks them all takes tens of milliseconds, in which nobody is answered.
    """
    gc.collect()
    gc.freeze()
