"""Compiled modules on disk: used where nobody else could have written them, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guardsvc.guards.wasm.loading.compiled import CompiledCache
from guardsvc.guards.wasm.loading.engines import EngineKind, Engines
from guardsvc.guards.wasm.loading.module import Modules
from guardsvc.guards.wasm.loading.sources import digest_of

KIND = EngineKind(fuel=False, stack=512 * 1024)
DIGEST = "sha256:" + "a" * 64


def entry(folder: Path) -> Path:
    return next(folder.glob("*.cwasm"))


def test_kept_and_found(tmp_path: Path) -> None:
    CompiledCache(tmp_path / "c").keep(DIGEST, KIND, b"compiled")

    again = CompiledCache(tmp_path / "c")
    assert again.load(DIGEST, KIND) == b"compiled"
    assert again.load(DIGEST, EngineKind(fuel=True, stack=512 * 1024)) is None
    assert again.load("sha256:" + "b" * 64, KIND) is None
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "c").iterdir()} == {0o600}


@pytest.mark.parametrize("change", ["content", "key", "name", "group", "others", "link", "cut"])
def test_what_others_could_have_written_is_not_used(change: str, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    cache = CompiledCache(folder)
    cache.keep(DIGEST, KIND, b"compiled")
    path = entry(folder)
    match change:
        case "content":
            path.write_bytes(path.read_bytes()[:-1] + b"X")
        case "key":
            (folder / "key").write_bytes(bytes(32))
            cache = CompiledCache(folder)
        case "name":
            cache.keep("sha256:" + "b" * 64, KIND, b"another")
            other = next(each for each in folder.glob("b*.cwasm"))
            path.write_bytes(other.read_bytes())
        case "group":
            path.chmod(0o620)
        case "others":
            path.chmod(0o602)
        case "link":
            moved = path.rename(tmp_path / "moved")
            path.symlink_to(moved)
        case "cut":
            path.write_bytes(path.read_bytes()[:10])

    assert cache.load(DIGEST, KIND) is None


def test_a_folder_of_others_is_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    folder.chmod(0o770)

    cache = CompiledCache(folder)

    assert not cache.usable
    cache.keep(DIGEST, KIND, b"compiled")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_owner_is_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)

    assert not CompiledCache(folder).usable


def test_no_writable_place_is_memory_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    cache = CompiledCache(tmp_path / "file" / "c")

    assert not cache.usable
    assert cache.load(DIGEST, KIND) is None


def test_a_key_that_others_can_read_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    CompiledCache(folder)
    (folder / "key").chmod(0o640)

    assert not CompiledCache(folder).usable


def test_a_module_is_compiled_once(tmp_path: Path, forbidden_text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = forbidden_text.read_bytes()
    digest = digest_of(content)
    engines = Engines()
    modules = Modules(engines, CompiledCache(tmp_path / "c"))
    first = modules.load(content, digest, KIND)
    assert modules.load(content, digest, KIND) is first

    def never(*_args: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr("wasmtime.component.Component.__init__", never)
    assert Modules(engines, CompiledCache(tmp_path / "c")).load(content, digest, KIND).shape.version == "1.0.0"


def test_an_entry_that_wasmtime_refuses_is_replaced(tmp_path: Path, forbidden_text: Path) -> None:
    content = forbidden_text.read_bytes()
    digest = digest_of(content)
    cache = CompiledCache(tmp_path / "c")
    cache.keep(digest, KIND, b"of another time")

    assert Modules(Engines(), cache).load(content, digest, KIND).shape.version == "1.0.0"
    assert (cache.load(digest, KIND) or b"") != b"of another time"
