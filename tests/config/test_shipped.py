"""What is shipped with the package says the same to PyYAML's fast loader, which not every build of it has."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

import guardsvc
from guardsvc.config.shipped import read_shipped

PACKAGE = Path(guardsvc.__file__).parent
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.yaml") if (path.parent / "__init__.py").exists())


@pytest.mark.parametrize("file", FILES, ids=str)
def test_both_loaders_read_the_same(file: Path) -> None:
    package = ".".join(("guardsvc", *file.parent.parts))
    assert read_shipped(package, file.name) == yaml.safe_load((files(package) / file.name).read_text("utf-8"))
