"""What a process makes of a protobuf schema and of messages, as plain JSON.

test_parity imports it beside our classes and runs it as a program beside the official ones, which cannot
be loaded into one process with ours.
"""

from __future__ import annotations

import base64
import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool, json_format, message_factory

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

_POOL = descriptor_pool.Default()


def describe_message(message: Descriptor) -> dict[str, Any]:
    """What decides how each field of a message travels and reads, by field name."""
    return {field.name: _describe_field(field) for field in message.fields}


def describe_enum(enum: EnumDescriptor) -> dict[str, Any]:
    """The number of each value, by name."""
    return {value.name: value.number for value in enum.values}


def describe_service(service: ServiceDescriptor) -> dict[str, Any]:
    """What each method takes and gives, by name."""
    return {
        method.name: [
            method.input_type.full_name,
            method.client_streaming,
            method.output_type.full_name,
            method.server_streaming,
        ]
        for method in service.methods
    }


def to_json(message: Message) -> dict[str, Any]:
    """A message as JSON under the names of the schema."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _describe_field(field: FieldDescriptor) -> dict[str, Any]:
    type_ = field.message_type or field.enum_type
    return {
        "number": field.number,
        "type": field.type,
        "type_name": type_ and type_.full_name,
        "repeated": field.is_repeated,
        "presence": field.has_presence,
        "oneof": field.containing_oneof and field.containing_oneof.name,
        "json_name": field.json_name,
    }


def _message(name: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    message = _POOL.FindMessageTypeByName(name)
    cls = message_factory.GetMessageClass(message)
    built = [json_format.ParseDict(sample["json"], cls()) for sample in samples]
    return {
        "fields": describe_message(message),
        "parsed": [to_json(cls.FromString(base64.b64decode(sample["wire"]))) for sample in samples],
        "built": [base64.b64encode(sample.SerializeToString()).decode() for sample in built],
    }


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    for module in question["modules"]:
        importlib.import_module(module)
    return {
        "messages": {name: _message(name, samples) for name, samples in question["messages"].items()},
        "enums": {name: describe_enum(_POOL.FindEnumTypeByName(name)) for name in question["enums"]},
        "services": {name: describe_service(_POOL.FindServiceByName(name)) for name in question["services"]},
    }


if __name__ == "__main__":
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)
