"""The engine worker of a test: the trusted key is replaced first, then the product's own worker runs unchanged.

    python -m tests.fake_whatsapp.worker <arguments of bot_service.engines.worker>

`FAKE_WHATSAPP_ROOT_KEY` holds the key of the fake server in hex. A process that does not load the engine is not touched.
"""

from __future__ import annotations

import importlib
import os
import sys

from bot_service.engines import worker
from tests.fake_whatsapp import engine_key


def main() -> None:
    if "simulator" not in sys.argv:
        importlib.import_module("bot_service.engines.neonize.native")  # loads the engine as the product does
        engine_key.install(bytes.fromhex(os.environ["FAKE_WHATSAPP_ROOT_KEY"]))
    worker.main(sys.argv[1:])


if __name__ == "__main__":
    main()
