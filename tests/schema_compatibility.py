"""Whether a new JSON Schema accepts all that an old one accepts: the registries' compatibility BACKWARD."""

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
LITERAL = ("pattern", "format", "const")
ANNOTATIONS = ("$schema", "$id", "title", "description", "examples", "default", "definitions")
COMPARED = (*LOWER, *UPPER, *LITERAL, "type", "enum", "required")
NESTED = ("properties", "additionalProperties", "items")
_TYPE_OF = {type(None): "null", bool: "boolean", str: "string", int: "integer", float: "number"}
TYPES = {"null", "boolean", "object", "array", "number", "string", "integer"}


def breaks(old, new):
    """What the old schema accepts and the new one may not, one line each with the place."""
    return list(_compare(old, new, old, new, "$", set()))


def not_compared(schema):
    """The keywords of a schema that `breaks` does not understand: none, or its verdict means nothing."""
    return sorted(set(_keywords(schema)) - {*COMPARED, *NESTED, *ANNOTATIONS, "$ref"})


def _compare(old, new, old_root, new_root, at, seen):
    old, new = _resolve(old, old_root), _resolve(new, new_root)
    if old is False or new in (True, {}) or (id(old), id(new)) in seen:
        return
    if new is False:
        yield f"{at}: not allowed any more"
        return
    seen = {*seen, (id(old), id(new))}
    old = {} if old is True else old
    yield from _compare_values(old, new, at)
    for name in sorted({*old.get("properties", {}), *new.get("properties", {})}):
        yield from _compare(_member(old, name), _member(new, name), old_root, new_root, f"{at}.{name}", seen)
    for keyword in ("additionalProperties", "items"):
        pair = old.get(keyword, True), new.get(keyword, True)
        yield from _compare(*pair, old_root, new_root, f"{at}.{keyword}", seen)


def _compare_values(old, new, at):
    if missing := _types(old) - _types(new):
        yield f"{at}: type {', '.join(sorted(missing))} not allowed any more"
    if "enum" in new and not ("enum" in old and set(old["enum"]) <= set(new["enum"])):
        yield f"{at}: fewer values allowed"
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{at}.{name}: required now"
    for keyword in LITERAL:
        if keyword in new and new[keyword] != old.get(keyword):
            yield f"{at}: {keyword} is new or another"
    for keyword in LOWER:
        if keyword in new and new[keyword] > old.get(keyword, float("-inf")):
            yield f"{at}: {keyword} is higher"
    for keyword in UPPER:
        if keyword in new and new[keyword] < old.get(keyword, float("inf")):
            yield f"{at}: {keyword} is lower"


def _member(schema, name):
    return schema.get("properties", {}).get(name, schema.get("additionalProperties", True))


def _types(schema):
    # An enumeration tells its types itself.
    listed = {_TYPE_OF[type(value)] for value in schema["enum"]} if "enum" in schema else TYPES
    found = schema.get("type", listed)
    found = {found} if isinstance(found, str) else set(found)
    return found | {"integer"} if "number" in found else found


def _resolve(schema, root):
    while isinstance(schema, dict) and "$ref" in schema:
        schema = root["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    return schema


def _keywords(schema):
    if not isinstance(schema, dict):
        return
    yield from schema
    nested = [schema.get("items"), schema.get("additionalProperties")]
    for group in ("properties", "definitions"):
        nested += schema.get(group, {}).values()
    for one in nested:
        yield from _keywords(one)
