"""Real WhatsApp through neonize (whatsmeow), for worker processes only; see `engine.py`.

`library` is the typed native library, `client` one incarnation of a session, `client_table_lock`
the rule that keeps the process alive. `receipt_gate`, `decrypt_marks` and `ratchet_rollback`
guarantee that no message is acknowledged before it is in the journal.
"""
