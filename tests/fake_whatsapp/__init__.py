"""A WhatsApp server on loopback that speaks the real wire protocol to the real engine.

The road of a connection: `proxy` (CONNECT) -> TLS -> websocket -> `connection` (frames, `noise`, `codec`) -> `services` (queries) and
`routing` (messages, receipts). `accounts` knows who exists, `phone` is the telephone in somebody's hand, `faults` says what goes wrong.
Nothing here may be imported by the product.
"""

from __future__ import annotations

from bot_service.engines.neonize import package

# Its messages are neonize's protobuf modules, and they come without neonize's clients, as in a worker.
package.prepare()
