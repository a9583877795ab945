"""What tests of a device send it, how they read what it says, and how they let its time pass."""

import asyncio
import json

from iiot.sparkplug.payload import decode_payload

SP, EP, ID = "spBv1.0/IIoT/", "lwm2m/device-x-001/", "device-x-001"
BIRTHS = [f"{SP}NBIRTH/{ID}", f"{SP}DBIRTH/{ID}/asset"]


class Incoming:
    def __init__(self, topic, payload, retain=False):
        self.topic, self.payload, self.retain, self.acked = topic, payload, retain, 0

    def ack(self):
        self.acked += 1


def command(operation, **fields):
    return Incoming(f"{EP}cmd/t1", json.dumps({"operation": operation, **fields}).encode())


def bd_seq(payload):
    return next(m.value for m in decode_payload(payload).metrics if m.name == "bdSeq")


def run(device, clock, seconds, step=0.005):
    """Let time pass for a device."""
    end = clock.now + seconds
    while clock.now < end:
        clock.now = min(end, clock.now + step)
        device.schedule.run_due(clock.now)


async def lose(connection, task):
    connection.is_open = False
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
