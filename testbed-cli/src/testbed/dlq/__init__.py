"""`./testbed dlq`: what could not be delivered: list it, look at it, replay it."""
