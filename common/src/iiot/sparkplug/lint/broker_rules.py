"""Rules for the MQTT server."""

from typing import Final

from iiot.sparkplug.lint.rule import Rule, must

BROKER_RULES: Final[tuple[Rule, ...]] = (
    must(
        "server-qos",
        "Let the MQTT server take and hand on messages with QoS 1.",
        "conformance-mqtt-qos1",
    ),
    must(
        "server-retain",
        "Let the MQTT server keep retained messages; STATE is one.",
        "conformance-mqtt-retained",
    ),
    must(
        "server-will",
        "Let the MQTT server publish the will of each connection that ends without DISCONNECT.",
        "conformance-mqtt-will-messages",
    ),
    must(
        "certificate-topic",
        "Offer births, and nothing else, on $sparkplug/certificates/ followed by their own topic.",
        "conformance-mqtt-aware-nbirth-mqtt-topic conformance-mqtt-aware-dbirth-mqtt-topic",
    ),
    must(
        "certificate-missing",
        "Store every birth that passes through, and offer it on $sparkplug/certificates/.",
        "conformance-mqtt-aware-store",
        NBIRTH="conformance-mqtt-aware-nbirth-mqtt-topic",
        DBIRTH="conformance-mqtt-aware-dbirth-mqtt-topic",
    ),
    must(
        "certificate-not-retained",
        "Offer stored births as retained messages.",
        NBIRTH="conformance-mqtt-aware-nbirth-mqtt-retain",
        DBIRTH="conformance-mqtt-aware-dbirth-mqtt-retain",
    ),
)
