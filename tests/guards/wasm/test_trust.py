"""Which components may run: pinned, signed by somebody who may, or let in unsigned; and how to go back by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from guardsvc.config import ConfigError
from guardsvc.guards.wasm import configure
from guardsvc.guards.wasm.loading.kept import Kept, Rollback
from guardsvc.guards.wasm.loading.signatures import Key, KeyFault, signed_by
from guardsvc.guards.wasm.loading.sources import Artifact, Evidence, Place, SourceError, digest_of
from guardsvc.guards.wasm.loading.sources.manifest import manifest_of, signature_tag
from guardsvc.guards.wasm.loading.trust import Trusted
from guardsvc.guards.wasm.options import WasmOptions
from guardsvc.guards.wasm.runtime import runtime
from guardsvc.server.configuration import load_configuration
from tests.guards.wasm.components import ANSWER, answer_of, build, component
from tests.guards.wasm.registry_server import small_registry
from tests.guards.wasm.signing import Signer, ecdsa, ed, payload_of, signatures_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTENT = b"\0asm content"
FIRST = b"\0asm1"
MANIFEST = "sha256:" + "12" * 32
PLACE = Place.parse("oci://registry.example/guards/scan:v1")
RETURN = f'(func (export "evaluate") (param i32) (result i32) (i32.const {ANSWER}))'


@pytest.fixture(autouse=True)
def _options() -> Iterator[None]:
    yield
    configure(WasmOptions())


def artifact(*evidence: Evidence, manifest: str | None = MANIFEST) -> Artifact:
    return Artifact(CONTENT, digest_of(CONTENT), manifest, evidence)


@pytest.mark.parametrize("make", [ecdsa, ed])
def test_signatures(make: Callable[[], Signer]) -> None:
    signer, key = make(), Key(make().public)
    own = Key(signer.public)
    payload = payload_of(MANIFEST)
    of_manifest = Evidence(signer.sign(payload), payload)
    of_content = Evidence(signer.sign(CONTENT))

    assert signed_by(artifact(of_manifest), [key, own]) is own
    assert signed_by(artifact(of_content, manifest=None), [own]) is own
    assert signed_by(artifact(of_manifest), [key]) is None
    assert signed_by(artifact(Evidence(b"junk", payload), of_manifest), [own]) is own


@pytest.mark.parametrize(
    "payload",
    [
        payload_of("sha256:" + "13" * 32),
        payload_of(MANIFEST, "atomic container signature"),
        b"{}",
        b"[]",
        b'{"critical":{"image":[]}}',
        b"not JSON",
        MANIFEST.encode(),
    ],
)
def test_a_signature_of_something_else_is_none(payload: bytes) -> None:
    signer = ecdsa()
    assert signed_by(artifact(Evidence(signer.sign(payload), payload)), [Key(signer.public)]) is None


def test_a_payload_that_was_changed_and_one_without_a_manifest() -> None:
    signer, payload = ecdsa(), payload_of(MANIFEST)
    key = Key(signer.public)

    assert signed_by(artifact(Evidence(signer.sign(payload), payload + b" ")), [key]) is None
    assert signed_by(artifact(Evidence(signer.sign(payload), payload), manifest=None), [key]) is None
    assert signed_by(artifact(Evidence(signer.sign(CONTENT + b" "))), [key]) is None


def test_keys(tmp_path: Path) -> None:
    signer = ecdsa()
    path = tmp_path / "cosign.pub"
    path.write_text(signer.public)

    assert Key(str(path)).id == Key(signer.public).id
    for text, why in (
        (str(tmp_path / "nowhere"), "is no file"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
        (ecdsa(ec.SECP384R1()).public, "another kind than ECDSA P-256 and Ed25519"),
    ):
        with pytest.raises(KeyFault, match=why):
            Key(text)


def rules(*keys: str, modules: tuple[str, ...] = ("*",), required: bool = False) -> Any:
    return WasmOptions.model_validate({"trust": [{"keys": keys, "modules": modules, "required": required}]}).trust


def test_who_is_accepted() -> None:
    signer, other = ecdsa(), ecdsa()
    good = artifact(Evidence(signer.sign(CONTENT)))
    bare = artifact()
    mine = Trusted(PLACE, rules(signer.public, modules=("oci://registry.example/guards/*",)))
    elsewhere = Trusted(PLACE, rules(signer.public, modules=("oci://registry.example/other/*",)))
    nobody = Trusted(PLACE, ())
    required = Trusted(PLACE, rules(signer.public, required=True))

    assert mine.accept(good, pinned=False, allow_unsigned=False) == Key(signer.public).id
    assert mine.accept(bare, pinned=True, allow_unsigned=False) is None
    assert mine.accept(bare, pinned=False, allow_unsigned=True) is None
    assert nobody.accept(bare, pinned=True, allow_unsigned=False) is None
    assert nobody.accept(bare, pinned=False, allow_unsigned=True) is None
    assert required.accept(good, pinned=True, allow_unsigned=True) == Key(signer.public).id
    for trusted, given, pinned, unsigned, why in (
        (nobody, good, False, False, "neither pinned nor signed"),
        (elsewhere, good, False, False, "neither pinned nor signed"),
        (mine, bare, False, False, "has no signature"),
        (mine, artifact(Evidence(other.sign(CONTENT))), False, False, "its signature is of no key"),
        (required, bare, True, True, "has no signature"),
    ):
        with pytest.raises(SourceError, match=why):
            trusted.accept(given, pinned=pinned, allow_unsigned=unsigned)


def denying(code: str) -> bytes:
    return component(answer_of("deny", code, "No.") + RETURN)


def configured(folder: Path, module: str, *, trust: str = "[]", host: str = "h", **settings: Any) -> Path:
    path = folder / "guardsvc.yaml"
    wasm = {"cache": str(folder / "cache"), "registries": {host: {"insecure": True}}, "trust": json.loads(trust)}
    guard = {"type": "wasm", "id": "g", "timeout_ms": 60_000, "settings": {"module": module, **settings}}
    path.write_text(json.dumps({"service": {"wasm": wasm}, "policy": {"deadline_ms": 60_000, "guards": [guard]}}))
    return path


def test_a_guard_of_a_registry_that_cosign_signed(tmp_path: Path) -> None:
    signer, other, content = ecdsa(), ed(), denying("signed")
    with small_registry() as registry:
        registry.put(content)
        manifest = registry.put_manifest("v1", manifest_of(b"{}", content, {}))
        text = f"oci://{registry.host}/guards/scan:v1"
        trust = json.dumps([{"keys": [signer.public], "modules": [f"oci://{registry.host}/guards/*"]}])
        path = configured(tmp_path, text, trust=trust, host=registry.host)
        with pytest.raises(ConfigError, match="has no signature"):
            load_configuration(path)

        payload = payload_of(manifest)
        registry.put(payload)
        registry.put_manifest(signature_tag(manifest), signatures_of([(payload, other.sign(payload))]))
        with pytest.raises(ConfigError, match="of no key that"):
            load_configuration(path)

        pairs = [(payload, other.sign(payload)), (payload, signer.sign(payload))]
        registry.put_manifest(signature_tag(manifest), signatures_of(pairs))
        guard: Any = load_configuration(path).policy.guards[0].guard

    assert guard.described["signed_by"] == Key(signer.public).id
    assert guard.described["manifest"] == manifest
    assert guard.fingerprint == digest_of(content)


def test_a_broken_key_is_told_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "g.wasm").write_bytes(denying("x"))
    path = configured(tmp_path, str(tmp_path / "g.wasm"), trust='[{"keys": ["/nowhere.pub"]}]')

    with pytest.raises(ConfigError, match=r"service\.wasm\.trust\[0\]\.keys\[0\]: /nowhere\.pub is no file"):
        load_configuration(path)


@pytest.mark.parametrize(
    ("runs_on", "timeout", "problem"),
    [
        (["tool_invoke"], 501, "501 exceeds the policy's deadline_ms 500"),
        (["tool_invoke"], 500, None),
        (["response"], 900, None),
        (["response"], 1001, r"1001 exceeds the policy's responses\.deadline_ms 1000"),
        (["request", "response"], 900, "900 exceeds the policy's deadline_ms 500"),
    ],
)
def test_a_guard_that_outlasts_the_decision_is_refused(
    runs_on: list[str], timeout: int, problem: str | None, forbidden_text: Path, tmp_path: Path
) -> None:
    settings = {"module": str(forbidden_text), "allow_unsigned": True, "config": {"in_arguments": "x"}}
    guard = {"type": "wasm", "timeout_ms": timeout, "runs_on": runs_on, "settings": settings}
    policy = {"deadline_ms": 500, "responses": {"deadline_ms": 1000}, "guards": [guard]}
    path = tmp_path / "guardsvc.yaml"
    path.write_text(json.dumps({"policy": policy}))

    if problem is None:
        load_configuration(path)
        return
    with pytest.raises(ConfigError, match=problem) as refused:
        load_configuration(path)
    assert refused.value.problems[0].path == "policy.guards[0].timeout_ms"


def test_back_by_one(tmp_path: Path) -> None:
    module = tmp_path / "g.wasm"
    place = Place.parse(str(module))
    kept = Kept(tmp_path / "kept")

    def loads(name: str) -> str:
        module.write_bytes(denying(name))
        loaded = build_of(module, kept)
        assert loaded.described.get("rolled_back_from") in (None, digest_of(denying(name)))
        return str(loaded.described["digest"])

    first, second, third = (digest_of(denying(name)) for name in ("first", "second", "third"))
    assert loads("first") == first
    assert kept.before(place) is None
    assert loads("second") == second
    before = kept.before(place)
    assert before is not None
    assert (before[0], before[1].digest, before[1].content) == (second, first, denying("first"))

    assert kept.go_back(place, Rollback(second, first))
    assert loads("second") == first
    assert build_of(module, kept).files[kept.rollback_file(place)[0]] is not None
    assert loads("third") == third
    before = kept.before(place)
    assert before is not None
    assert before[1].digest == first

    assert kept.go_back(place, None)
    assert loads("second") == second


def build_of(module: Path, kept: Kept) -> Any:
    """The guard of a file, with what is kept of it in a folder of the test."""
    before, runtime().kept = runtime().kept, kept
    try:
        return build(module.parent, module.read_bytes(), path=module)
    finally:
        runtime().kept = before


def test_what_others_wrote_is_not_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for content in (FIRST, b"\0asm2"):
        kept.loaded(PLACE, Artifact(content, digest_of(content)))
    assert kept.before(PLACE) is not None

    history = next(tmp_path.glob("*.history"))
    whole = history.read_bytes()
    history.write_bytes(whole[:-2] + b" }")
    assert kept.before(PLACE) is None
    history.write_bytes(whole)
    (tmp_path / f"{digest_of(FIRST)[7:]}.component").write_bytes(b"\0asm!")
    assert kept.before(PLACE) is None


def test_without_a_place_nothing_is_kept() -> None:
    kept = Kept(Path("/proc/nowhere"))
    kept.loaded(PLACE, artifact())

    assert not kept.usable
    assert kept.before(PLACE) is None
    assert not kept.go_back(PLACE, Rollback("a", "b"))
