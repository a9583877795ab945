"""The ledger: proof that every message sent by every device arrived in Kafka."""
