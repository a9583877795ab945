"""Which testable assertions of Sparkplug 3.0 no rule judges, and why."""

from typing import Final

_NO_MQTT: Final = "a message that is seen shows that the server keeps it: without it there is no MQTT"
_STATE_OF_HOST: Final = "about what a host keeps inside; its REST view tells"
_ALLOWED: Final = "allows something and forbids nothing"
_SEVERAL: Final = "about several MQTT servers, and one observer sees one"

NOT_JUDGED: Final[dict[str, str]] = {
    name: reason
    for reason, names in {
        _NO_MQTT: ("conformance-mqtt-qos0 message-flow-edge-node-birth-publish-connect"),
        _STATE_OF_HOST: (
            "operational-behavior-edge-node-termination-host-action-ndeath-node-offline"
            " operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale"
            " operational-behavior-edge-node-termination-host-action-ndeath-devices-offline"
            " operational-behavior-edge-node-termination-host-action-ndeath-devices-tags-stale"
            " operational-behavior-edge-node-termination-host-action-ddeath-devices-offline"
            " operational-behavior-edge-node-termination-host-action-ddeath-devices-tags-stale"
            " operational-behavior-host-reordering-param operational-behavior-host-reordering-success"
        ),
        _ALLOWED: (
            "payloads-name-cmd-requirement payloads-template-definition-parameters-default"
            " payloads-template-instance-members-data payloads-template-instance-parameters"
            " topic-structure-namespace-duplicate-device-id-across-edge-node"
            " operational-behavior-edge-node-intentional-disconnect-packet"
            " operational-behavior-host-application-disconnect-intentional"
        ),
        _SEVERAL: (
            "operational-behavior-edge-node-termination-host-offline-reconnect"
            " operational-behavior-host-application-multi-server-timestamp"
            " operational-behavior-primary-application-state-with-multiple-servers-single-server"
            " operational-behavior-primary-application-state-with-multiple-servers-state-subs"
            " operational-behavior-primary-application-state-with-multiple-servers-walk"
        ),
        "the link between edge node and device is not on the broker": "operational-behavior-device-ddeath",
        "the sum of the other assertions about the server": "conformance-mqtt-aware-basic",
        "the will may hold a timestamp of the edge node's own": "conformance-mqtt-aware-ndeath-timestamp",
    }.items()
    for name in names.split()
}
