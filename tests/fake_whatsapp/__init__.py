"""A WhatsApp server on loopback that speaks the real wire protocol to the real engine.

The road of a connection: `proxy` (CONNECT) -> TLS -> websocket -> `connection` (frames, `noise`, `codec`) -> `services` (queries) and
`routing` (messages, receipts). `accounts` knows who exists, `phone` is the telephone in somebody's hand, `faults` says what goes wrong.
Nothing here may be imported by the product.
"""
