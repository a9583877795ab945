"""Bridge from MQTT to Kafka: a PUBACK leaves only after Kafka's delivery report, so nothing is lost."""
