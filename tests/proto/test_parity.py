"""Our trimmed copies of Envoy's schema mean on the wire exactly what the official classes mean.

The official classes are those of xds-protos 1.85 (Envoy 1.37), in an environment of their own. Every field
of ours is known there, so nothing is left out of the comparison.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import pkgutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BoolValue
from google.rpc.status_pb2 import Status

from guardsvc._proto import envoy
from guardsvc._proto.envoy.type.v3.http_status_pb2 import HttpStatus
from tests.proto import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.descriptor import Descriptor, FileDescriptor
    from google.protobuf.message import Message

ROOT = Path(__file__).parents[2]
OFFICIAL_PYTHON = ROOT / os.environ.get("GUARDSVC_PARITY_PYTHON", ".venv-parity/bin/python")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(envoy.__path__, "guardsvc._proto.envoy.")
    if module.name.endswith("_pb2")
)
FILES: list[FileDescriptor] = [importlib.import_module(name).DESCRIPTOR for name in MODULES]

SCALARS = {
    FieldDescriptor.TYPE_STRING: "grüß 日本 \x00\U0001f600",
    FieldDescriptor.TYPE_BYTES: bytes(range(256)),
    FieldDescriptor.TYPE_INT64: -(2**63),
    FieldDescriptor.TYPE_UINT32: 2**32 - 1,
    FieldDescriptor.TYPE_BOOL: True,
}
WELL_KNOWN: dict[str, Message] = {
    "google.protobuf.BoolValue": BoolValue(value=True),
    "google.protobuf.Struct": ParseDict(
        {"text": "é", "number": 1.5, "list": [True, None, {"deep": -0.25}], "empty": {}}, Struct()
    ),
    "google.protobuf.Timestamp": Timestamp(seconds=1_700_000_000, nanos=123_456_789),
    "google.rpc.Status": Status(code=7, message="no"),
}


def _messages(found: Iterable[Descriptor]) -> Iterator[Descriptor]:
    for message in found:
        if not message.GetOptions().map_entry:
            yield message
            yield from _messages(message.nested_types)


MESSAGES = {m.full_name: m for file in FILES for m in _messages(file.message_types_by_name.values())}
ENUMS = {enum.full_name: enum for file in FILES for enum in file.enum_types_by_name.values()} | {
    enum.full_name: enum for message in MESSAGES.values() for enum in message.enum_types
}
SERVICES = {service.full_name: service for file in FILES for service in file.services_by_name.values()}


def _build(message: Descriptor, choice: int) -> Message:
    """A message with every field set; ``choice`` picks the members of oneofs and the values of enums."""
    if message.full_name in WELL_KNOWN:
        return WELL_KNOWN[message.full_name]
    built = GetMessageClass(message)()
    for field in message.fields:
        oneof = field.containing_oneof
        if oneof is None or oneof.fields[choice % len(oneof.fields)].name == field.name:
            _fill(built, field, choice)
    return built


def _fill(message: Message, field: FieldDescriptor, choice: int) -> None:
    held = getattr(message, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        if of.message_type:
            held["key"].CopyFrom(_build(of.message_type, choice))
        else:
            held["key"] = _scalar(of, choice)
    elif field.is_repeated:
        held.extend(
            _build(field.message_type, number) if field.message_type else _scalar(field, number)
            for number in (choice, choice + 1)
        )
    elif field.message_type:
        held.CopyFrom(_build(field.message_type, choice))
    else:
        setattr(message, field.name, _scalar(field, choice))


def _scalar(field: FieldDescriptor, choice: int) -> Any:
    if field.enum_type:
        return field.enum_type.values[choice % len(field.enum_type.values)].number
    return SCALARS[field.type]


CHOICES = range(max(len(enum.values) for enum in ENUMS.values()))
SAMPLES = {name: [_build(message, choice) for choice in CHOICES] for name, message in MESSAGES.items()}
SAMPLES["envoy.type.v3.HttpStatus"].append(ParseDict({"code": 599}, HttpStatus()))


@pytest.fixture(scope="module")
def official() -> dict[str, Any]:
    """What the official classes make of our schema and of the samples."""
    if not OFFICIAL_PYTHON.exists():
        pytest.skip(f"no environment with xds-protos at {OFFICIAL_PYTHON}; make test builds it")
    question = {
        "modules": [name.removeprefix("guardsvc._proto.") for name in MODULES],
        "messages": {
            name: [
                {
                    "json": schema.to_json(sample),
                    "wire": base64.b64encode(sample.SerializeToString()).decode(),
                }
                for sample in samples
            ]
            for name, samples in SAMPLES.items()
        },
        "enums": list(ENUMS),
        "services": list(SERVICES),
    }
    answer = subprocess.run(
        [OFFICIAL_PYTHON, schema.__file__],
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={},
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("name", MESSAGES)
def test_samples_set_every_field(name: str) -> None:
    filled = {field.name for sample in SAMPLES[name] for field, _ in sample.ListFields()}

    assert filled == set(MESSAGES[name].fields_by_name)


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_are_the_official_ones(name: str, official: dict[str, Any]) -> None:
    theirs = official["messages"][name]["fields"]
    ours = schema.describe_message(MESSAGES[name])

    assert ours == {field: theirs.get(field) for field in ours}


@pytest.mark.parametrize("name", ENUMS)
def test_enum_values_are_the_official_ones(name: str, official: dict[str, Any]) -> None:
    theirs = official["enums"][name]
    ours = schema.describe_enum(ENUMS[name])

    assert ours == {value: theirs.get(value) for value in ours}


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_the_official_ones(name: str, official: dict[str, Any]) -> None:
    assert schema.describe_service(SERVICES[name]) == official["services"][name]


@pytest.mark.parametrize("name", MESSAGES)
def test_official_classes_read_ours(name: str, official: dict[str, Any]) -> None:
    assert official["messages"][name]["parsed"] == [schema.to_json(sample) for sample in SAMPLES[name]]


@pytest.mark.parametrize("name", MESSAGES)
def test_ours_read_official_messages(name: str, official: dict[str, Any]) -> None:
    cls = GetMessageClass(MESSAGES[name])
    built = [cls.FromString(base64.b64decode(wire)) for wire in official["messages"][name]["built"]]

    assert built == SAMPLES[name]
