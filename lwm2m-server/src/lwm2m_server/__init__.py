"""LwM2M 1.2 server over MQTT: registrations, device management by REST, an event feed that loses nothing."""
