"""The public contract says all that the model says, and needs nothing but protoc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from guardsvc import model
from guardsvc._proto.guardsvc.v1 import guard_service_pb2 as contract
from guardsvc.model.decision import VerdictName
from tests.proto.schema import describe_enum

if TYPE_CHECKING:
    from enum import StrEnum

PROTO = Path(__file__).parents[2] / "proto"


def test_compiles_with_plain_protoc(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}", f"--python_out={tmp_path}"),
            "guardsvc/v1/guard_service.proto",
        ],
        check=True,
    )

    assert (tmp_path / "guardsvc/v1/guard_service_pb2.py").exists()


def test_imports_well_known_types_only() -> None:
    assert all(file.name.startswith("google/protobuf/") for file in contract.DESCRIPTOR.dependencies)


@pytest.mark.parametrize(
    "enum", [model.GatewayProtocol, model.Direction, model.Phase, model.Kind, model.Mode, model.Severity]
)
def test_enums_have_the_values_of_the_model(enum: type[StrEnum]) -> None:
    values = describe_enum(contract.DESCRIPTOR.enum_types_by_name[enum.__name__])
    prefix = "GATEWAY_PROTOCOL" if enum is model.GatewayProtocol else enum.__name__.upper()

    assert values.pop(f"{prefix}_UNSPECIFIED") == 0
    assert list(values) == [f"{prefix}_{member.name}" for member in enum]


def test_decision_has_every_verdict() -> None:
    verdict = contract.Decision.DESCRIPTOR.oneofs_by_name["verdict"]

    assert [field.name for field in verdict.fields] == list(get_args(VerdictName))


@pytest.mark.parametrize(
    ("message", "struct"),
    [
        (contract.Operation, model.Operation),
        (contract.Caller, model.Caller),
        (contract.Finding, model.Finding),
    ],
)
def test_messages_have_the_fields_of_the_model(message: Any, struct: Any) -> None:
    fields = {(field.containing_oneof or field).name.removeprefix("_") for field in message.DESCRIPTOR.fields}

    # By which way a name was found, and whether to learn, is nobody's to say but the gateway's that found it.
    own = {model.Caller: {"source"}, model.Operation: {"learnable"}}.get(struct, set())
    assert fields == set(struct.__struct_fields__) - own
