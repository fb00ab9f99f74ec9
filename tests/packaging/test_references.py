"""The pages of ``docs/`` that are written from the code are what ``make reference`` writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guardsvc.cli.reference import references
from guardsvc.model import REASONS
from tests.packages.installed import environment, install_handmade

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["configuration.md", "metrics.md", "denials.md", "audit-record.md"])
def test_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == references()[name], "run make reference"


def test_pages_are_written_without_the_guards_of_other_packages(tmp_path: Path) -> None:
    install_handmade(tmp_path)
    pages = tmp_path / "docs"
    pages.mkdir()
    subprocess.run(
        [sys.executable, "-W", "error", "-m", "guardsvc.cli.reference", pages],
        check=True,
        env=environment(tmp_path),
    )

    assert {path.name: path.read_text(encoding="utf-8") for path in pages.iterdir()} == references()


def test_every_reason_is_listed() -> None:
    page = references()["denials.md"]

    assert all(f"| `{code}` |" in page for code in REASONS)
