"""Rules over several messages: order, sessions of edge nodes, hosts, commands, connections."""

from typing import Final

from iiot.sparkplug.lint.rule import Rule, must, should

_DUPLICATE_NODE: Final = (
    "topic-structure-namespace-unique-edge-node-descriptor intro-edge-node-id-uniqueness"
    " payloads-nbirth-edge-node-descriptor"
)
_DATA_AFTER_BIRTHS: Final = "payloads-dbirth-order"

SESSION_RULES: Final[tuple[Rule, ...]] = (
    must(
        "seq-order",
        "Count one seq per edge node over all of its devices, in the order in which messages leave.",
        "payloads-sequence-num-incrementing",
        DBIRTH="topics-dbirth-seq payloads-dbirth-seq-inc"
        " message-flow-device-birth-publish-dbirth-payload-seq",
        NDATA="topics-ndata-seq-num payloads-ndata-seq-inc",
        DDATA="topics-ddata-seq-num payloads-ddata-seq-inc",
        DDEATH="topics-ddeath-seq-num payloads-ddeath-seq-inc payloads-ddeath-seq-number",
    ),
    must(
        "edge-node-not-unique",
        "Two publishers use one group and edge node id; give each its own.",
        _DUPLICATE_NODE,
    ),
    should(
        "device-not-unique",
        "Two devices of one edge node seem to use one device id; give each its own.",
        "topic-structure-namespace-unique-device-id",
    ),
    must(
        "before-nbirth",
        "Send the NBIRTH first on every connection, then all DBIRTHs, then data.",
        "principles-birth-certificates-order",
        DBIRTH="message-flow-device-birth-publish-nbirth-wait"
        " message-flow-device-birth-publish-dbirth-match-edge-node-topic",
        NDATA="payloads-ndata-order",
        DDATA="payloads-ddata-order",
        DDEATH="payloads-dbirth-order",
    ),
    must(
        "before-dbirth",
        "Send the device's DBIRTH before its data, also after a DDEATH.",
        "payloads-ddata-order payloads-dbirth-order",
    ),
    must(
        "dbirth-after-data",
        "Hold all data back until the last DBIRTH has left; a lock around births does it.",
        _DATA_AFTER_BIRTHS,
        NDATA="payloads-ndata-order",
        DDATA="payloads-ddata-order",
    ),
    should(
        "dbirth-late",
        "Send all DBIRTHs right after the NBIRTH; announce a device that appears later by a rebirth.",
        _DATA_AFTER_BIRTHS,
    ),
    must(
        "metric-not-in-birth",
        "Births name every metric that the session will use; when the set changes, send a new birth.",
        NDATA="topics-nbirth-metric-reqs operational-behavior-data-publish-nbirth",
        DDATA="topics-dbirth-metric-reqs operational-behavior-data-publish-dbirth",
    ),
    must(
        "datatype-not-of-birth",
        "Keep the datatype that the birth announced, of metrics, properties, members and parameters;"
        " to change it, send a new birth.",
        NBIRTH="payloads-template-definition-members payloads-template-definition-parameters",
        DBIRTH="payloads-template-definition-members payloads-template-definition-parameters",
        NDATA="topics-nbirth-metric-reqs topics-nbirth-metrics",
        DDATA="topics-dbirth-metric-reqs topics-dbirth-metrics",
        NCMD="operational-behavior-data-commands-ncmd-metric-value",
        DCMD="operational-behavior-data-commands-dcmd-metric-value",
    ),
    should(
        "ddeath-without-birth",
        "A DDEATH ends what a DBIRTH began: send none for a device that is not born, or dead already.",
        "payloads-dbirth-order",
    ),
    should(
        "nothing-changed",
        "Publish by exception: leave out what did not change, and the message when nothing did.",
        "principles-rbe-recommended",
        NDATA="operational-behavior-data-publish-nbirth-change",
        DDATA="operational-behavior-data-publish-dbirth-change",
    ),
    must(
        "ndeath-bdseq",
        "Use one bdSeq for the will and all NBIRTHs of a connection; take the next only at the next CONNECT.",
        "payloads-ndeath-bdseq topics-nbirth-bdseq-matching payloads-nbirth-bdseq-repeat"
        " message-flow-edge-node-birth-publish-nbirth-payload-bdSeq",
    ),
    must(
        "session-without-death",
        "Register an NDEATH as the will of every CONNECT, publish it before a clean stop,"
        " and keep bdSeq when you answer a rebirth request.",
        "payloads-ndeath-will-message operational-behavior-edge-node-intentional-disconnect-ndeath"
        " payloads-ndeath-will-message-publisher",
    ),
    must(
        "bdseq-order",
        "Add one to bdSeq at every CONNECT, 255 is followed by 0; keep it over restarts.",
        "topics-nbirth-bdseq-increment message-flow-edge-node-birth-publish-will-message-payload-bdSeq",
    ),
    must(
        "rebirth-bdseq",
        "A rebirth is not a new connection: same bdSeq, no NDEATH, no reconnect.",
        "operational-behavior-data-commands-rebirth-action-3",
    ),
    should(
        "rebirth-with-death",
        "Unless it was stopped just then: answer a rebirth request without NDEATH and reconnect.",
        "operational-behavior-data-commands-rebirth-action-3",
    ),
    must(
        "rebirth-unanswered",
        "Answer a rebirth request at once with the NBIRTH and the DBIRTH of every device.",
        "operational-behavior-data-commands-rebirth-action-2",
    ),
    must(
        "rebirth-data-goes-on",
        "Stop data at a rebirth request until all births have left.",
        "operational-behavior-data-commands-rebirth-action-1",
    ),
)

PRIMARY_HOST_RULES: Final[tuple[Rule, ...]] = (
    must(
        "primary-host-not-awaited",
        "Send births only while the newest STATE of the configured host says online.",
        "message-flow-edge-node-birth-publish-phid-wait message-flow-edge-node-birth-publish-phid-wait-id"
        " message-flow-edge-node-birth-publish-phid-wait-online"
        " message-flow-edge-node-birth-publish-phid-wait-timestamp"
        " operational-behavior-edge-node-birth-sequence-wait",
    ),
    must(
        "primary-host-left",
        "When the host goes offline, publish NDEATH, disconnect, and start over with the next server.",
        "message-flow-edge-node-birth-publish-phid-offline"
        " operational-behavior-edge-node-termination-host-offline",
    ),
    should(
        "primary-host-old-state",
        "Ignore an offline STATE that is older than the online one; it comes from a session before.",
        "operational-behavior-edge-node-termination-host-offline-timestamp",
    ),
)

COMMAND_RULES: Final[tuple[Rule, ...]] = (
    must(
        "command-empty",
        "A command carries the metrics to write.",
        NCMD="topics-ncmd-payload",
        DCMD="topics-dcmd-payload",
    ),
    should(
        "command-unknown-metric",
        "Write metrics that the birth announced.",
        NCMD="operational-behavior-data-commands-ncmd-metric-name",
        DCMD="operational-behavior-data-commands-dcmd-metric-name",
    ),
    must(
        "rebirth-request-value",
        "A rebirth request writes true.",
        "operational-behavior-data-commands-ncmd-rebirth-value",
    ),
    must(
        "rebirth-request-name",
        "The metric is named `Node Control/Rebirth`, without prefix and in this spelling.",
        "operational-behavior-data-commands-ncmd-rebirth-name",
    ),
    must(
        "rebirth-request-verb",
        "Ask the edge node with an NCMD; a device cannot be asked for a rebirth.",
        "operational-behavior-data-commands-ncmd-rebirth-verb",
    ),
    should(
        "command-without-host",
        "A host application says that it is online on spBv1.0/STATE/{host id} before it sends commands,"
        " from the client that sends them.",
        "intro-sparkplug-host-state components-ph-state conformance-primary-host"
        " host-topic-phid-birth-message host-topic-phid-birth-required",
    ),
)

_STATE_BIRTH: Final = (
    "host-topic-phid-birth-payload message-flow-phid-sparkplug-state-publish-payload"
    " operational-behavior-host-application-connect-birth-payload payloads-state-birth-payload"
)
_STATE_DEATH: Final = (
    "host-topic-phid-death-payload operational-behavior-host-application-connect-will-payload"
    " operational-behavior-host-application-death-payload payloads-state-will-message-payload"
)

HOST_RULES: Final[tuple[Rule, ...]] = (
    must(
        "state-payload",
        'Send JSON in UTF-8: {"online": true or false, "timestamp": ms since 1970}.',
        birth=_STATE_BIRTH,
        death=_STATE_DEATH,
    ),
    must(
        "state-qos",
        "Publish STATE with QoS 1, as the will as well.",
        birth="host-topic-phid-birth-qos operational-behavior-host-application-connect-birth-qos"
        " payloads-state-birth",
        death="host-topic-phid-death-qos operational-behavior-host-application-death-qos"
        " operational-behavior-host-application-connect-will-qos payloads-state-will-message-qos",
    ),
    must(
        "state-not-retained",
        "Publish STATE with the retain flag, as the will as well.",
        birth="host-topic-phid-birth-retain operational-behavior-host-application-connect-birth-retained"
        " payloads-state-birth",
        death="host-topic-phid-death-retain operational-behavior-host-application-death-retained"
        " operational-behavior-host-application-connect-will-retained payloads-state-will-message-retain",
    ),
    must(
        "state-timestamp",
        "The timestamp is the host's time in ms since 1970, UTC; edge nodes compare it.",
        birth=_STATE_BIRTH,
        death=_STATE_DEATH,
    ),
    should(
        "state-clock-back",
        "Set the host's clock: edge nodes ignore STATE that is older than the last one.",
        "host-topic-phid-birth-payload",
    ),
    must(
        "state-birth-timestamp",
        "Take the time once per CONNECT, and put it into the will and into the birth.",
        "host-topic-phid-birth-payload-timestamp"
        " message-flow-phid-sparkplug-state-publish-payload-timestamp"
        " operational-behavior-host-application-connect-birth-payload",
    ),
    must(
        "state-not-repaired",
        "Subscribe to your own STATE; when it says offline while you are connected, publish the birth again.",
        "message-flow-hid-sparkplug-state-message-delivered host-topic-phid-birth-sub-required"
        " payloads-state-subscribe",
    ),
    must(
        "state-clean-timestamp",
        "Before a clean DISCONNECT publish offline with the time of the disconnect.",
        "host-topic-phid-death-payload-timestamp-disconnect-clean"
        " host-topic-phid-death-payload-timestamp-disconnect-with-no-disconnect-packet"
        " operational-behavior-host-application-termination",
    ),
    should(
        "gap-not-asked",
        "When missing messages do not come within the reorder time-out, ask the edge node for a rebirth.",
        "operational-behavior-host-reordering-rebirth operational-behavior-host-reordering-start",
    ),
    must(
        "host-not-unique",
        "Two hosts use one host id; give each its own.",
        "operational-behavior-host-application-host-id",
    ),
)

CONNECTION_RULES: Final[tuple[Rule, ...]] = (
    must(
        "clean-session",
        "Connect with a clean session: clean start, and with MQTT 5 a session expiry of 0.",
        edge_v3="principles-persistence-clean-session-311",
        edge_v5="principles-persistence-clean-session-50",
        host_v3="message-flow-phid-sparkplug-clean-session-311",
        host_v5="message-flow-phid-sparkplug-clean-session-50",
    ),
    must(
        "will-missing",
        "Register the death certificate as the will of every CONNECT.",
        edge="message-flow-edge-node-birth-publish-will-message payloads-ndeath-will-message",
        host="operational-behavior-host-application-connect-will host-topic-phid-death-required"
        " payloads-state-will-message",
    ),
    must(
        "will-topic",
        "The will goes to the topic of the death certificate of this very edge node or host.",
        edge="message-flow-edge-node-birth-publish-will-message-topic",
        host="operational-behavior-host-application-connect-will-topic payloads-state-will-message",
    ),
    must(
        "will-qos",
        "Register the will with QoS 1.",
        edge="message-flow-edge-node-birth-publish-will-message-qos payloads-ndeath-will-message-qos",
        host="operational-behavior-host-application-connect-will-qos payloads-state-will-message-qos"
        " host-topic-phid-death-qos",
    ),
    must(
        "will-retain",
        "The will of an edge node is not retained, that of a host is.",
        edge="message-flow-edge-node-birth-publish-will-message-will-retained"
        " payloads-ndeath-will-message-retain",
        host="operational-behavior-host-application-connect-will-retained payloads-state-will-message-retain"
        " host-topic-phid-death-retain",
    ),
    must(
        "will-bdseq",
        "Will and NBIRTH of one connection carry the same bdSeq.",
        "topics-nbirth-bdseq-matching payloads-nbirth-bdseq-repeat payloads-ndeath-bdseq"
        " message-flow-edge-node-birth-publish-nbirth-payload-bdSeq",
    ),
    must(
        "will-timestamp",
        "The host's will carries the time of its CONNECT.",
        "host-topic-phid-death-payload-timestamp-connect",
    ),
    must(
        "first-publish",
        "Let the birth certificate be the first publish of every connection.",
        "principles-birth-certificates-order",
        host="host-topic-phid-birth-message host-topic-phid-birth-required"
        " operational-behavior-host-application-connect-birth"
        " operational-behavior-primary-application-state-with-multiple-servers-state"
        " message-flow-phid-sparkplug-state-publish",
    ),
    must(
        "ncmd-subscription",
        "Subscribe to the own NCMD topic with QoS 1 before the NBIRTH.",
        "message-flow-edge-node-ncmd-subscribe",
    ),
    must(
        "dcmd-subscription",
        "Subscribe to DCMD with QoS 1.",
        "message-flow-device-dcmd-subscribe",
    ),
    must(
        "state-subscription",
        "Subscribe to the own STATE topic and to Sparkplug topics before the birth is published.",
        "host-topic-phid-birth-sub-required message-flow-phid-sparkplug-subscription"
        " payloads-state-subscribe",
    ),
    must(
        "disconnect-without-death",
        "Publish NDEATH before DISCONNECT (MQTT 3.1.1), or disconnect with reason 0x04 (MQTT 5).",
        v3="payloads-ndeath-will-message-publisher-disconnect-mqtt311"
        " operational-behavior-edge-node-intentional-disconnect-ndeath",
        v5="payloads-ndeath-will-message-publisher-disconnect-mqtt50",
        host="operational-behavior-host-application-termination"
        " host-topic-phid-death-payload-timestamp-disconnect-clean",
    ),
)
