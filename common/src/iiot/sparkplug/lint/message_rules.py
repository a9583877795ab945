"""Rules that one message can break by itself: its topic, delivery, counters and metrics."""

from collections.abc import Callable
from typing import Final

from iiot.sparkplug.lint.rule import Rule, must, should

_STATE_TOPICS: Final = (
    "host-topic-phid-birth-topic host-topic-phid-death-topic"
    " operational-behavior-host-application-connect-birth-topic"
    " operational-behavior-host-application-death-topic"
)

TOPIC_RULES: Final[tuple[Rule, ...]] = (
    must(
        "topic-namespace",
        "Publish below spBv1.0/; the namespace is case-sensitive.",
        "topic-structure topic-structure-namespace-a",
    ),
    must(
        "topic-verb",
        "The third level names the message: NBIRTH, NDEATH, NDATA, NCMD, DBIRTH, DDEATH, DDATA or DCMD.",
        "topic-structure",
    ),
    must(
        "topic-device-missing",
        "Add the device's level after the edge node's: spBv1.0/{group}/{type}/{edge node}/{device}.",
        "topic-structure topic-structure-namespace-device-id-associated-message-types",
        DBIRTH="topics-dbirth-topic message-flow-device-birth-publish-dbirth-topic",
        DDATA="topics-ddata-topic",
        DDEATH="topics-ddeath-topic",
        DCMD="topics-dcmd-topic operational-behavior-data-commands-ncmd-verb",
    ),
    must(
        "topic-device-present",
        "Messages of the edge node itself and STATE end with its id; take the further levels away.",
        "topic-structure topic-structure-namespace-device-id-non-associated-message-types",
        NBIRTH="topics-nbirth-topic message-flow-edge-node-birth-publish-nbirth-topic",
        NDATA="topics-ndata-topic",
        NDEATH="topics-ndeath-topic message-flow-edge-node-birth-publish-will-message-topic",
        NCMD="topics-ncmd-topic operational-behavior-data-commands-dcmd-verb",
        STATE=_STATE_TOPICS,
    ),
    must(
        "topic-empty-id",
        "Group, edge node, device and host ids are never empty.",
        "topic-structure",
        group="topic-structure-namespace-valid-group-id intro-group-id-string intro-group-id-chars",
        edge_node="topic-structure-namespace-valid-edge-node-id intro-edge-node-id-string"
        " intro-edge-node-id-chars",
        device="topic-structure-namespace-valid-device-id intro-device-id-string intro-device-id-chars",
        host=_STATE_TOPICS,
    ),
    must(
        "state-topic-legacy",
        "Sparkplug 3.0 moved STATE to spBv1.0/STATE/{host id}; switch the host's legacy form off,"
        " or keep it beside the new one for old edge nodes only.",
        _STATE_TOPICS,
    ),
    should(
        "id-case",
        "Rename one of them: ids that differ in letter case only are mixed up sooner or later.",
        "case-sensitivity-sparkplug-ids",
    ),
)


def _of_payload(level: Callable[..., Rule], key: str, advice: str) -> Rule:
    """A rule about a payload as a whole."""
    return level(
        key,
        advice,
        NBIRTH="message-flow-edge-node-birth-publish-nbirth-payload",
        DBIRTH="message-flow-device-birth-publish-dbirth-payload",
        NDEATH="message-flow-edge-node-birth-publish-will-message-payload topics-ndeath-payload",
        NDATA="topics-ndata-payload",
        DDATA="topics-ddata-payload",
        DDEATH="payloads-ddeath-timestamp payloads-ddeath-seq",
        NCMD="topics-ncmd-payload",
        DCMD="topics-dcmd-payload",
    )


DELIVERY_RULES: Final[tuple[Rule, ...]] = (
    must(
        "qos-not-0",
        "Publish with QoS 0.",
        needs_qos=True,
        NBIRTH="topics-nbirth-mqtt payloads-nbirth-qos message-flow-edge-node-birth-publish-nbirth-qos",
        DBIRTH="topics-dbirth-mqtt payloads-dbirth-qos message-flow-device-birth-publish-dbirth-qos",
        NDATA="topics-ndata-mqtt payloads-ndata-qos",
        DDATA="topics-ddata-mqtt payloads-ddata-qos",
        DDEATH="topics-ddeath-mqtt",
        NCMD="topics-ncmd-mqtt payloads-ncmd-qos",
        DCMD="topics-dcmd-mqtt payloads-dcmd-qos",
    ),
    should(
        "ndeath-qos-not-1",
        "Register the NDEATH as a will with QoS 1. If the edge node published this one itself before a clean"
        " stop, its QoS is free, and 1 is wise all the same.",
        "payloads-ndeath-will-message-qos message-flow-edge-node-birth-publish-will-message-qos",
    ),
    must(
        "retained",
        "Publish without the retain flag, and clear what the broker stores with an empty retained message.",
        NBIRTH="topics-nbirth-mqtt payloads-nbirth-retain"
        " message-flow-edge-node-birth-publish-nbirth-retained",
        DBIRTH="topics-dbirth-mqtt payloads-dbirth-retain message-flow-device-birth-publish-dbirth-retained",
        NDATA="topics-ndata-mqtt payloads-ndata-retain",
        DDATA="topics-ddata-mqtt payloads-ddata-retain",
        DDEATH="topics-ddeath-mqtt",
        NDEATH="payloads-ndeath-will-message-retain"
        " message-flow-edge-node-birth-publish-will-message-will-retained",
        NCMD="topics-ncmd-mqtt payloads-ncmd-retain",
        DCMD="topics-dcmd-mqtt payloads-dcmd-retain",
    ),
    _of_payload(
        must,
        "payload-unreadable",
        "Encode the payload with sparkplug_b.proto; text and JSON have no place here.",
    ),
    _of_payload(
        should,
        "payload-over-budget",
        "Not judged: larger than readers take. Send fewer metrics in a message, and none that inflates"
        " or nests without measure.",
    ),
    must(
        "timestamp-missing",
        "Set the payload's timestamp to the time of publishing, in ms of UTC.",
        NBIRTH="topics-nbirth-timestamp payloads-nbirth-timestamp",
        DBIRTH="topics-dbirth-timestamp payloads-dbirth-timestamp",
        NDATA="topics-ndata-timestamp payloads-ndata-timestamp",
        DDATA="topics-ddata-timestamp payloads-ddata-timestamp",
        DDEATH="payloads-ddeath-timestamp",
        NCMD="topics-ncmd-timestamp payloads-ncmd-timestamp",
        DCMD="topics-dcmd-timestamp payloads-dcmd-timestamp",
    ),
    must(
        "timestamp-not-utc",
        "Count ms since 1970 in UTC, whatever the time zone of the machine.",
        "payloads-timestamp-in-UTC",
    ),
    should(
        "clock-differs",
        "Compare the clocks of publisher and observer; run a time service on both.",
        "payloads-timestamp-in-UTC",
    ),
    must(
        "seq-missing",
        "Put the edge node's next seq into every message but NDEATH.",
        "payloads-sequence-num-always-included",
        NBIRTH="topics-nbirth-seq-num payloads-nbirth-seq payloads-sequence-num-req-nbirth"
        " message-flow-edge-node-birth-publish-nbirth-payload-seq",
        DBIRTH="topics-dbirth-seq payloads-dbirth-seq message-flow-device-birth-publish-dbirth-payload-seq",
        NDATA="topics-ndata-seq-num payloads-ndata-seq",
        DDATA="topics-ddata-seq-num payloads-ddata-seq",
        DDEATH="topics-ddeath-seq-num payloads-ddeath-seq payloads-ddeath-seq-number",
    ),
    must(
        "seq-out-of-range",
        "seq counts 0 to 255 and starts over.",
        "payloads-sequence-num-incrementing",
        NBIRTH="payloads-nbirth-seq payloads-sequence-num-req-nbirth"
        " message-flow-edge-node-birth-publish-nbirth-payload-seq",
        DBIRTH="payloads-dbirth-seq-inc message-flow-device-birth-publish-dbirth-payload-seq",
        NDATA="payloads-ndata-seq-inc",
        DDATA="payloads-ddata-seq-inc",
        DDEATH="payloads-ddeath-seq-inc",
    ),
    must(
        "nbirth-seq-not-0",
        "Every NBIRTH, also one that answers a rebirth request, starts seq again at 0.",
        "topics-nbirth-seq-num",
    ),
    must(
        "seq-forbidden",
        "Leave seq out: NDEATH and commands are not part of the edge node's sequence.",
        NDEATH="topics-ndeath-seq payloads-ndeath-seq",
        NCMD="payloads-ncmd-seq",
        DCMD="payloads-dcmd-seq",
    ),
)


def _of_value(key: str, advice: str) -> Rule:
    """A rule about the value of a metric, in whatever message."""
    return must(
        key,
        advice,
        NBIRTH="topics-nbirth-metrics operational-behavior-data-publish-nbirth-values",
        DBIRTH="topics-dbirth-metrics operational-behavior-data-publish-dbirth-values",
        NDATA="topics-ndata-payload",
        DDATA="topics-ddata-payload",
        NCMD="operational-behavior-data-commands-ncmd-metric-value",
        DCMD="operational-behavior-data-commands-dcmd-metric-value",
        NDEATH="topics-ndeath-payload",
        DDEATH="topics-ddeath-seq-num",
    )


METRIC_RULES: Final[tuple[Rule, ...]] = (
    must(
        "metric-name-missing",
        "Births name every metric; other messages name it or give the alias of the birth.",
        "payloads-name-requirement",
        NBIRTH="topics-nbirth-metrics",
        DBIRTH="topics-dbirth-metrics",
    ),
    must(
        "birth-alias-without-name",
        "A birth has to tie the alias to a name: send both.",
        "payloads-alias-birth-requirement",
    ),
    must(
        "alias-missing",
        "Give aliases to all metrics of a birth or to none; `bdSeq` and `Node Control/Rebirth` go without.",
        "payloads-alias-birth-requirement",
    ),
    must(
        "alias-not-unique",
        "Number the aliases once over the edge node and all of its devices.",
        "payloads-alias-uniqueness",
    ),
    must(
        "alias-with-name",
        "Once the birth gave an alias, data and commands carry the alias alone.",
        "payloads-alias-data-cmd-requirement",
    ),
    must(
        "datatype-missing",
        "Births say the datatype of every metric.",
        "payloads-metric-datatype-req",
        NBIRTH="topics-nbirth-metrics",
        DBIRTH="topics-dbirth-metrics",
    ),
    must(
        "datatype-invalid",
        "Use one of the datatypes 1 to 19 or 22 to 34.",
        "payloads-metric-datatype-value payloads-metric-datatype-value-type",
    ),
    should(
        "datatype-in-data",
        "Leave the datatype out of data and commands: the birth has told it.",
        "payloads-metric-datatype-not-req",
    ),
    must(
        "value-missing",
        "Give the current value, or set is_null when there is none.",
        NBIRTH="topics-nbirth-metrics operational-behavior-data-publish-nbirth-values",
        DBIRTH="topics-dbirth-metrics operational-behavior-data-publish-dbirth-values",
        NDATA="topics-ndata-payload",
        DDATA="topics-ddata-payload",
        NCMD="operational-behavior-data-commands-ncmd-metric-value",
        DCMD="operational-behavior-data-commands-dcmd-metric-value",
    ),
    must(
        "null-with-value",
        "A metric is null or has a value, not both.",
        NBIRTH="operational-behavior-data-publish-nbirth-values",
        DBIRTH="operational-behavior-data-publish-dbirth-values",
        NDATA="topics-ndata-payload",
        DDATA="topics-ddata-payload",
    ),
    _of_value(
        "value-of-other-type",
        "Put the value into the protobuf field of its datatype.",
    ),
    _of_value(
        "value-out-of-range",
        "Send a number that the datatype can hold, or announce a wider datatype.",
    ),
    _of_value(
        "value-malformed",
        "Arrays are packed little-endian: a BooleanArray begins with its count in 32 bits, every text of a"
        " StringArray ends with NUL. A UUID has the form 8-4-4-4-12; texts are UTF-8.",
    ),
    must(
        "metric-name-twice",
        "A birth has every metric once, with its current value.",
        NBIRTH="topics-nbirth-metrics operational-behavior-data-publish-nbirth-values",
        DBIRTH="topics-dbirth-metrics operational-behavior-data-publish-dbirth-values",
    ),
    should(
        "node-metric-of-device",
        "`bdSeq` and `Node Control/Rebirth` belong to the edge node: leave them out of device messages.",
        "topics-nbirth-bdseq-included topics-nbirth-rebirth-metric",
    ),
    must(
        "metric-timestamp-missing",
        "Every metric of births and data has the time of its own value.",
        "payloads-name-birth-data-requirement",
    ),
    must(
        "metric-timestamp-not-utc",
        "Count ms since 1970 in UTC, whatever the time zone of the machine.",
        "payloads-metric-timestamp-in-UTC",
    ),
    must(
        "metric-order",
        "Put several values of one metric into a payload oldest first, or mark stored ones is_historical.",
        NBIRTH="operational-behavior-data-publish-nbirth-order",
        NDATA="operational-behavior-data-publish-nbirth-order",
        DBIRTH="operational-behavior-data-publish-dbirth-order",
        DDATA="operational-behavior-data-publish-dbirth-order",
    ),
    should(
        "metric-name-case",
        "Rename one of them: readers fold letter case.",
        "case-sensitivity-metric-names",
    ),
    must(
        "bdseq-missing",
        "Every NBIRTH and NDEATH carries the metric bdSeq.",
        NBIRTH="topics-nbirth-bdseq-included payloads-nbirth-bdseq"
        " message-flow-edge-node-birth-publish-nbirth-payload-bdSeq",
        NDEATH="topics-ndeath-payload payloads-ndeath-bdseq"
        " message-flow-edge-node-birth-publish-will-message-payload-bdSeq",
    ),
    must(
        "bdseq-type",
        "bdSeq is an Int64 (datatype 4) in long_value; UInt64 belongs to older versions.",
        NBIRTH="message-flow-edge-node-birth-publish-nbirth-payload-bdSeq",
        NDEATH="message-flow-edge-node-birth-publish-will-message-payload-bdSeq",
    ),
    must(
        "bdseq-range",
        "bdSeq counts 0 to 255 and starts over.",
        "topics-nbirth-bdseq-increment",
        NDEATH="message-flow-edge-node-birth-publish-will-message-payload-bdSeq",
    ),
    must("ndeath-other-metrics", "An NDEATH holds bdSeq and nothing else.", "topics-ndeath-payload"),
    must(
        "rebirth-metric-missing",
        "Add the Boolean metric `Node Control/Rebirth`, spelt exactly so, with the value false.",
        "topics-nbirth-rebirth-metric payloads-nbirth-rebirth-req"
        " operational-behavior-data-commands-rebirth-name",
    ),
    must(
        "rebirth-metric-type",
        "`Node Control/Rebirth` is a Boolean.",
        "topics-nbirth-rebirth-metric payloads-nbirth-rebirth-req"
        " operational-behavior-data-commands-rebirth-datatype",
    ),
    must(
        "rebirth-metric-value",
        "`Node Control/Rebirth` is false in births; true is what a host writes.",
        "topics-nbirth-rebirth-metric payloads-nbirth-rebirth-req"
        " operational-behavior-data-commands-rebirth-value",
    ),
    must(
        "rebirth-metric-alias",
        "Leave `Node Control/Rebirth` without an alias: a host must be able to ask before it knows aliases.",
        "operational-behavior-data-commands-rebirth-name-aliases",
    ),
)
