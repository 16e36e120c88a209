"""Foxglove messages as a stranger reads them: by the schema that came with them, and by the published structures."""

import importlib
import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
from google.protobuf import json_format


def check(schema_name: str, schema: bytes, data: bytes) -> Any:
    """Return a message that fits its own JSON Schema and, where the name is Foxglove's, the published protobuf of that
    name, which knows every field of it."""
    value = json.loads(data)
    jsonschema.validate(value, json.loads(schema))
    package, _, name = schema_name.partition(".")
    if package == "foxglove":
        published = getattr(importlib.import_module(f"foxglove_schemas_protobuf.{name}_pb2"), name)()
        json_format.ParseDict(as_protobuf(value), published)
    return value


def as_protobuf(value: Any, field: str = "") -> Any:
    """Return a value as protobuf's JSON has it: times and durations as text."""
    if isinstance(value, dict):
        if set(value) == {"sec", "nsec"}:
            if field == "lifetime":
                return f"{value['sec']}.{value['nsec']:09d}s"
            second = datetime.fromtimestamp(value["sec"], UTC).strftime("%Y-%m-%dT%H:%M:%S")
            return f"{second}.{value['nsec']:09d}Z"
        return {key: as_protobuf(item, key) for key, item in value.items()}
    return [as_protobuf(item, field) for item in value] if isinstance(value, list) else value
