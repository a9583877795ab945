"""Runs `redpanda-connect-config.yaml` on a machine without containers: `python -m testbed.connect [FILE]`.

Redpanda Connect itself does it when it is on PATH. Otherwise its inputs, processors and caches come from
the wheels `mq-bridge` and `mq-bridge-connect`, and this package does what they lack: the Kafka output,
the order of delivery and commit, and the HTTP interface.
"""
