"""The bridge's HTTP API: replaying dead letters."""

from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from iiot.errors import KafkaError
from iiot.replays import Place
from iiot.rest import BODY, Answer, Api, Route
from iiot.telemetry import json_response
from mqtt_redpanda_bridge.replay import LetterGoneError, NotReplayableError, ReplayedError, Replayer

_DESCRIPTION: Final = "Replays messages that could not be delivered. They are listed by `./testbed dlq list`."
_DONE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "letter": {"type": "string"},
        "topic": {"type": "string"},
        "key": {"type": "string"},
        "bytes": {"type": "integer"},
        "dry_run": {"type": "boolean"},
    },
}


class Wanted(BaseModel):
    """Which dead letter, and how."""

    model_config = BODY

    letter: str
    """Where it is: `topic:partition:offset`."""
    dry_run: bool = False
    """Only tell what would be written."""
    again: bool = False
    """Also when it was replayed before."""


def bridge_api(replayer: Replayer) -> Api:
    """The routes and what their errors mean."""

    async def replay(_: web.Request, wanted: Wanted) -> web.Response:
        made = await replayer.replay(Place.parse(wanted.letter), dry_run=wanted.dry_run, again=wanted.again)
        return json_response(
            {
                "letter": wanted.letter,
                "topic": made.topic,
                "key": made.key.decode(errors="replace"),
                "bytes": len(made.value),
                "dry_run": wanted.dry_run,
            }
        )

    route = Route(
        "POST", "/api/dead-letters/replay", replay, "Deliver what a dead letter holds", tag="Dead letters",
        answers={200: Answer("What was written", _DONE)}, body=Wanted,
        errors={
            404: "There is no such letter, or no more",
            409: "It was replayed before",
            422: "It could not be delivered now either",
            503: "Kafka does not answer",
        },
    )  # fmt: skip
    errors: dict[type[Exception], int] = {
        LetterGoneError: 404,
        ReplayedError: 409,
        NotReplayableError: 422,
        KafkaError: 503,
    }
    return Api("MQTT to Kafka bridge", _DESCRIPTION, [route], errors)
