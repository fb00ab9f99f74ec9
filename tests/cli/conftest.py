"""The command line in this process, where nothing of the process itself is in question."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from guardsvc.cli import main
from tests.cli.command import Command, Outcome

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def guardsvc(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    for name in [name for name in os.environ if name.startswith("GUARDSVC_")]:
        monkeypatch.delenv(name)

    def run(*args: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr("sys.argv", ["guardsvc", *map(str, args)])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A policy of two servers that allows ``search`` and denies the rest."""
    file = tmp_path / "config.yaml"
    file.write_text(
        """\
policy:
  name: search only
  servers:
    library: {ids: [lib], tool_prefixes: [lib_]}
    bank: {ids: [bank], tool_prefixes: [bank_]}
  guards:
    - type: protocol_compliance
      priority: 10
    - type: access_list
      id: who may what
      priority: 20
      settings:
        default: deny
        rules:
          - {action: allow, servers: [library], tools: [search]}
          - {action: allow, methods: [ping, initialize, tools/list]}
"""
    )
    return file
