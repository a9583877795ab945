"""Shared code of the testbed: protocol cores (pure) and the edges to MQTT, Kafka and HTTP."""
