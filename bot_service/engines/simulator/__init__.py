"""An engine without WhatsApp: pairs, receives, sends and fails on command; scripted by seed and clock."""
