"""Simulated devices: each one MQTT connection that speaks LwM2M 1.2 and Sparkplug B 3.0."""
