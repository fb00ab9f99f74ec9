"""Every shipped Envoy configuration: valid, told of in the documentation, and closed where guardsvc is not asked."""

from __future__ import annotations

import difflib
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deploy.demo.bootstrap import SHIPPED, SHIPPED_JWT
from deploy.demo.services import ROOT, envoy_program
from tests.e2e.responding import SHIPPED_EXT_PROC, SHIPPED_EXT_PROC_UDS

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(SHIPPED.parent.glob("*.yaml"))
COMPLETE = [file for file in FILES if file != SHIPPED_JWT]
ASKED_ALONE = "ext_proc_alone.yaml"

every_file = pytest.mark.parametrize("file", COMPLETE, ids=lambda file: file.stem)


def settings_of(file: Path, name: str) -> dict[str, Any] | None:
    """The settings of a filter, None where the listener has it not."""
    (listener,) = yaml.safe_load(file.read_text())["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    found = [each["typed_config"] for each in filters if each["name"] == f"envoy.filters.http.{name}"]
    return found[0] if found else None


@every_file
def test_it_is_valid_as_it_is(file: Path) -> None:
    command = [envoy_program(), "--mode", "validate", "--config-path", str(file), "--log-level", "warning"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@every_file
def test_without_guardsvc_nothing_passes(file: Path) -> None:
    asked = [settings for name in ("ext_authz", "ext_proc") if (settings := settings_of(file, name)) is not None]
    assert asked
    for settings in asked:
        assert settings["failure_mode_allow"] is False
        assert settings["status_on_error"] == {"code": "ServiceUnavailable"}


@every_file
def test_responses_are_kept_back_and_belong_to_something(file: Path) -> None:
    settings = settings_of(file, "ext_proc")
    assert (settings is not None) == file.stem.startswith("ext_proc")
    if settings is None:
        return
    mode = settings["processing_mode"]
    assert (mode["response_header_mode"], mode["response_body_mode"]) == ("SEND", "FULL_DUPLEX_STREAMED")
    assert settings["allow_mode_override"] is False
    assert settings["response_attributes"] == ["response.code_details"]
    if file.name == ASKED_ALONE:
        assert (mode["request_header_mode"], mode["request_body_mode"]) == ("SEND", "FULL_DUPLEX_STREAMED")
        return
    assert settings["metadata_options"]["forwarding_namespaces"] == {"untyped": ["envoy.filters.http.ext_authz"]}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_documentation_tells_of_it(file: Path) -> None:
    assert f"(../deploy/envoy/{file.name})" in (ROOT / "docs" / "gateways.md").read_text()
    named = [line.split()[-1] for line in file.read_text().splitlines() if "envoy --mode validate -c" in line]
    assert named == [file.name] * (file in COMPLETE)


def test_the_one_for_a_socket_differs_in_the_endpoint_only() -> None:
    one, other = SHIPPED_EXT_PROC.read_text().splitlines(), SHIPPED_EXT_PROC_UDS.read_text().splitlines()
    changes = [line for line in difflib.ndiff(one, other) if line[0] in "+-"]
    assert [line for line in changes if not line[1:].lstrip().startswith("#")] == [
        "-               socket_address: { address: 127.0.0.1, port_value: 9191 }",
        "+               pipe: { path: /run/guardsvc/guardsvc.sock }",
    ]
