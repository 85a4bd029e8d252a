"""Real WhatsApp through neonize (whatsmeow). Imported only inside worker processes; see `engine.py`.

`library` is the native library with types, `client` one incarnation of a session, `maps` the rule that keeps the library alive,
`gate`, `marks` and `undo` the promise that no message is acknowledged before it is in the journal.
"""
