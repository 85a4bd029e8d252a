"""An engine without WhatsApp: pairs, receives, sends and fails on command, by seed and clock."""
