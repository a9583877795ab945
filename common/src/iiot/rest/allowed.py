"""What a JSON schema allows, in words for a person."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

ALLOWED: Final = "x-allowed"
"""Key for `json_schema_extra`: says what a field allows where its schema says it badly."""

_Schema = Mapping[str, Any]


def allowed_text(schema: _Schema, root: _Schema) -> str:
    """What `schema` allows: `an integer from 1 to 1000`; references are looked up in `root`."""
    if ALLOWED in schema:
        return str(schema[ALLOWED])
    if "$ref" in schema:
        return allowed_text(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        kinds = [allowed_text(kind, root) for kind in schema["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema or "const" in schema:
        return _listed(schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"a list, each {allowed_text(schema.get('items', {}), root)}"
    words = {
        "integer": f"an integer{_range(schema)}",
        "number": f"a number{_range(schema)}",
        "boolean": "true or false",
        "string": f"text{_length(schema)}",
        "object": f"a JSON object with {_listed(schema.get('properties', ('any members',)))}",
    }
    return words.get(schema.get("type", ""), "a JSON value")


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _range(schema: _Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:.16g} to {high:.16g}"
    bounds = {
        "at least": low,
        "above": schema.get("exclusiveMinimum"),
        "at most": high,
        "below": schema.get("exclusiveMaximum"),
    }
    told = [f"{word} {bound:.16g}" for word, bound in bounds.items() if bound is not None]
    return f" {', '.join(told)}" if told else ""


def _length(schema: _Schema) -> str:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    size = f" of {low} to {high} characters" if high is not None else f" of {low} or more" if low else ""
    return size + (f" that matches {schema['pattern']}" if "pattern" in schema else "")
