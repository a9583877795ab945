"""A service that exports what others say of themselves: the broker, Kafka's topics, the devices' ledger."""
