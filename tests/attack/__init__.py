"""What anybody can send without a key, for a while, against both programs at work."""
