"""Checks records of Kafka against the schemas in the repository, with a validator that is not ours."""

import json
from functools import cache

import jsonschema_rs

from iiot import schemas


@cache
def validator(name):
    return jsonschema_rs.validator_for(json.loads(schemas.current(name).text))


def check_record(record):
    """Raise when the value of a record is not what the schema of its topic says; other topics pass."""
    name = schemas.name_of(record.topic)
    if name is None or record.value is None:
        return
    errors = [
        f"{record.topic}: {error.message} at {error.instance_path}"
        for error in validator(name).iter_errors(json.loads(record.value))
    ]
    assert not errors, errors
