"""How much work a message, a request or a file may make: the one place that says so.

Whoever decodes what a peer or a user wrote takes its limits from here and holds them before the work is
done: a size is checked before inflating, a count before objects are made. What is beyond costs little, is
refused with `BudgetError`, which names the limit, and is counted by the service that refused it.
"""

from typing import Final

from iiot.errors import DecodeError

MESSAGE_BYTES: Final = 1024 * 1024
"""One MQTT packet: `max_packet_size` in mosquitto.conf. Larger ones never come."""

TOPIC_CHARS: Final = 512
"""Of an MQTT topic that is remembered, and of every Sparkplug topic. MQTT allows 65,535; caches hold some ten
thousand topics, and ids are names of machines."""

INFLATED_BYTES: Final = MESSAGE_BYTES
"""What a compressed payload may become: compression spares the wire, and is no way around its limit."""

OUTPUT_BYTES: Final = 4 * 1024 * 1024
"""A record's value. The largest ordinary message of 1 MiB makes 2 to 4 MiB of JSON (names of metrics are
repeated, bytes become base64); a few bytes that make more are no telemetry."""

RECORD_BYTES: Final = OUTPUT_BYTES + 64 * 1024
"""A Kafka record with key and headers; producers, topics and brokers take this much."""

BATCH_BYTES: Final = RECORD_BYTES + 4 * 1024
"""What a topic and a broker have to take: Kafka counts the batch around the record as well."""

QUEUE_BYTES: Final = 64 * 1024 * 1024
"""Records that a producer holds until Kafka has them; whoever produces waits when there are more."""

EVENT_BYTES: Final = 32 * 1024 * 1024
"""Events that a service keeps in memory for clients that come back: those of values may have 4 MiB each."""

LETTER_PAYLOAD_BYTES: Final = OUTPUT_BYTES // 4 * 3
"""How much of a payload a dead letter carries, in base64: all of every MQTT message."""

METRICS: Final = 20_000
"""Metrics of one Sparkplug message: births of large edge nodes have some thousands; a setting raises it."""

ELEMENTS: Final = 50_000
"""Values in one message, at any depth: cells, properties, template members, array entries of CBOR or JSON.
A table of 1,000 rows and 50 columns; each costs about a microsecond and 100 bytes of memory."""

RECORDS: Final = 10_000
"""Values of one LwM2M message; the dearest take 100 ms of a processor until they are stored."""

LINKS: Final = 5_000
"""Objects and instances in one registration; a gateway with a thousand sensors has some thousands."""

COMPARISONS: Final = 8 * ELEMENTS
"""Properties of births that a message's metrics are compared with; members and parameters of templates count
sixteen times. A metric may come many times in a message, each time all that its birth told is looked at."""

BIRTHS_BYTES: Final = 32 * 1024 * 1024
"""Births of one edge node id and its devices, that a reader of births keeps: about 100,000 metrics. Names of
devices are free to invent, and so are groups."""

BODY_VALUES: Final = 20_000
"""Values in the JSON body of one HTTP request: to say what is wrong with each costs 5 µs. The longest list of
the APIs, the devices of a firmware campaign, has 10,000."""

FILE_BYTES: Final = 256 * 1024
"""A YAML file that a person writes: routes, profiles, objects."""

FILE_NODES: Final = 50_000
"""Values in such a file once its aliases are written out."""

NESTING: Final = 64
"""Levels in JSON and CBOR. Ordinary readers recurse, and many end at 100."""

COMPOSITE_NESTING: Final = 16
"""Templates in templates, and property sets in property sets; known plants use three."""

INTEGER_BITS: Final = 64
"""Every number of LwM2M and Sparkplug fits; longer ones take quadratic time to print."""

DIGITS: Final = 20
"""Of an integer written in decimal: 2**64 has 20."""

DEFINITION_BYTES: Final = 4 * 1024 * 1024
"""A file of LwM2M object definitions; OMA's largest has 60 kB."""

DEFINITION_FILES: Final = 5_000
"""Files of definitions in one directory; OMA's registry, all versions, has 800."""

DEFINITION_TEXT: Final = 4_096
"""Characters of a name, type, range or unit in a definition; descriptions are not kept."""

XML_NESTING: Final = 32
"""Levels in XML; an object definition has five, and markup in a description a few more."""


class BudgetError(DecodeError):
    """A message would cost more than its budget.

    Attributes:
        budget: what is exceeded, such as `metrics`; short and from a fixed set, for counters.
        limit: the largest value allowed, in the unit that the budget is counted in.
    """

    def __init__(self, budget: str, limit: int, what: str) -> None:
        super().__init__(f"{what}: more than {limit} {budget}")
        self.budget, self.limit = budget, limit
