"""The content formats of LwM2M payloads (Core 7.4): each a codec between bytes and records."""
