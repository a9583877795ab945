"""Benchmarks on this machine: load generator, part under test, broker and Kafka side by side."""
