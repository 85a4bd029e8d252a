"""Loads the binding of the native library and its protobuf modules once, for all modules here."""

from __future__ import annotations

import importlib
from typing import Any

from bot_service.engines.neonize import package

package.prepare()

binder: Any = importlib.import_module("neonize._binder")
pb: Any = importlib.import_module("neonize.proto.Neonize_pb2")
e2e: Any = importlib.import_module("neonize.proto.waE2E.WAWebProtobufsE2E_pb2")
registration: Any = importlib.import_module("neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2")
