"""All rules by key."""

from typing import Final

from iiot.sparkplug.lint.broker_rules import BROKER_RULES
from iiot.sparkplug.lint.content_rules import CONTENT_RULES
from iiot.sparkplug.lint.message_rules import DELIVERY_RULES, METRIC_RULES, TOPIC_RULES
from iiot.sparkplug.lint.rule import Rule
from iiot.sparkplug.lint.session_rules import (
    COMMAND_RULES,
    CONNECTION_RULES,
    HOST_RULES,
    PRIMARY_HOST_RULES,
    SESSION_RULES,
)

RULES: Final[dict[str, Rule]] = {
    rule.key: rule
    for group in (
        TOPIC_RULES,
        DELIVERY_RULES,
        METRIC_RULES,
        CONTENT_RULES,
        SESSION_RULES,
        PRIMARY_HOST_RULES,
        COMMAND_RULES,
        HOST_RULES,
        CONNECTION_RULES,
        BROKER_RULES,
    )
    for rule in group
}
