"""Signatures that cosign made, of a file and of manifests in a registry, in each of its forms.

What is in ``cosign/`` was written by cosign 2.6.5 with a key of its own: ``sign-blob``, with ``--bundle`` and with
``--new-bundle-format`` too, and into a registry, whose tags tell the form: ``sign``, ``sign --new-bundle-format``,
``sign --registry-referrers-mode oci-1-1`` and ``attest --new-bundle-format``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.guards.wasm.loading.kept import Kept
from guardsvc.guards.wasm.loading.signatures import Key, signed_by
from guardsvc.guards.wasm.loading.sources import Artifact, Place, SourceError, digest_of, read
from guardsvc.guards.wasm.loading.sources.layout import Layout
from guardsvc.guards.wasm.loading.sources.manifest import referrers_tag
from guardsvc.guards.wasm.loading.trust import Trusted
from guardsvc.guards.wasm.options import WasmOptions
from tests.guards.wasm.registry_server import SmallRegistry, small_registry
from tests.guards.wasm.signing import ecdsa

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = Path(__file__).parent / "cosign"
GUARD = Path(__file__).parents[3] / "wasm-guards" / "c" / "older" / "guard-0.wasm"
WRITTEN: dict[str, Any] = json.loads((MADE / "registry.json").read_text())
COSIGN, OTHER = Key(str(MADE / "cosign.pub")), Key(ecdsa().public)
FORMS = ("tag", "bundle", "referrer")


def test_what_is_signed_is_the_guard() -> None:
    assert digest_of(GUARD.read_bytes()) == WRITTEN["component"]


@pytest.mark.parametrize(
    ("made", "beside"),
    [
        ("guard.wasm.sig", "guard.wasm.sig"),
        ("old.sigstore.json", "guard.wasm.sigstore.json"),
        ("new.sigstore.json", "guard.wasm.sigstore.json"),
    ],
)
def test_a_file(made: str, beside: str, tmp_path: Path) -> None:
    module = tmp_path / "guard.wasm"
    module.write_bytes(GUARD.read_bytes())
    (tmp_path / beside).write_bytes((MADE / made).read_bytes())

    found = fetch(str(module), tmp_path)
    assert signed_by(found, [OTHER, COSIGN]) is COSIGN
    assert signed_by(found, [OTHER]) is None
    module.write_bytes(GUARD.read_bytes() + b"\0")
    assert signed_by(fetch(str(module), tmp_path), [COSIGN]) is None


@pytest.fixture
def registry() -> Iterator[SmallRegistry]:
    """The registry, which does not know what referrers are."""
    with small_registry() as running:
        running.put(GUARD.read_bytes())
        for content in WRITTEN["blobs"].values():
            running.put(content.encode())
        for tag, content in WRITTEN["manifests"].items():
            running.put_manifest(tag, content.encode())
        yield running


def fetch(text: str, folder: Path, registry: SmallRegistry | None = None) -> Artifact:
    known = {} if registry is None else {registry.host: {"insecure": True}}
    options = WasmOptions.model_validate({"registries": known})
    return read(Place.parse(text), options, Kept(folder / "kept"))


def manifest(tag: str) -> str:
    """The digest of a manifest."""
    return digest_of(WRITTEN["manifests"][tag].encode())


@pytest.mark.parametrize("form", FORMS)
def test_a_registry(form: str, registry: SmallRegistry, tmp_path: Path) -> None:
    found = fetch(f"oci://{registry.host}/guards/scan:{form}", tmp_path, registry)

    assert (found.digest, found.manifest) == (WRITTEN["component"], manifest(form))
    assert signed_by(found, [OTHER, COSIGN]) is COSIGN
    assert signed_by(found, [OTHER]) is None


def test_a_registry_that_knows_what_referrers_are(registry: SmallRegistry, tmp_path: Path) -> None:
    index = registry.manifests.pop(referrers_tag(manifest("bundle")))
    place = f"oci://{registry.host}/guards/scan:bundle"
    assert fetch(place, tmp_path, registry).evidence == ()

    registry.referrers[manifest("bundle")] = index
    assert signed_by(fetch(place, tmp_path, registry), [COSIGN]) is COSIGN


@pytest.mark.parametrize("form", FORMS)
def test_a_layout(form: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    for content in (GUARD.read_bytes(), *(each.encode() for each in WRITTEN["blobs"].values())):
        layout.put_blob(content)
    for tag, content in WRITTEN["manifests"].items():
        if tag.startswith("sha256:"):
            layout.put_blob(content.encode())
        elif tag.startswith(referrers_tag(manifest(form))) or tag == form:
            layout.put_manifest(content.encode(), tag)

    assert signed_by(fetch(f"oci-layout:{tmp_path}/layout", tmp_path), [COSIGN]) is COSIGN


@pytest.mark.parametrize("form", ["tag", "bundle"])
def test_a_signature_of_another_manifest_is_none(form: str, registry: SmallRegistry, tmp_path: Path) -> None:
    end = ".sig" if form == "tag" else ""
    taken = WRITTEN["manifests"][f"{referrers_tag(manifest(form))}{end}"]
    registry.put_manifest(f"{referrers_tag(manifest('attestation'))}{end}", taken.encode())

    found = fetch(f"oci://{registry.host}/guards/scan:attestation", tmp_path, registry)
    assert found.evidence != ()
    assert signed_by(found, [COSIGN]) is None


def test_a_statement_of_how_it_was_built_is_no_signature(registry: SmallRegistry, tmp_path: Path) -> None:
    place = Place.parse(f"oci://{registry.host}/guards/scan:attestation")
    found = fetch(str(place), tmp_path, registry)
    (evidence,) = found.evidence
    assert COSIGN.made(evidence.signature, evidence.payload or b"")

    trust = WasmOptions.model_validate({"trust": [{"keys": [str(MADE / "cosign.pub")]}]}).trust
    with pytest.raises(SourceError, match="its signature is of no key"):
        Trusted(place, trust).accept(found, pinned=False, allow_unsigned=False)


def junk(registry: SmallRegistry, signing: dict[str, Any]) -> Iterator[bytes]:
    """Manifests that refer to one beside that of its signature: with bundles of no use, one too large, and others."""
    for content in (b"{}", b'{"dsseEnvelope":{"payload":"!"}}', b"junk", b'{"dsseEnvelope":[]}'):
        layer = signing["layers"][0] | {"digest": registry.put(content), "size": len(content)}
        yield json.dumps(signing | {"layers": [layer]}).encode()
    yield json.dumps(signing | {"layers": [signing["layers"][0] | {"size": 3_000_000}]}).encode()
    yield b'{"manifests":[]}'
    yield b"[]"


def test_what_else_refers_to_a_manifest_hides_no_signature(registry: SmallRegistry, tmp_path: Path) -> None:
    tag = referrers_tag(manifest("bundle"))
    index = json.loads(registry.manifests[tag])
    (signing,) = index["manifests"]
    others = [
        registry.put_manifest("any", each) for each in junk(registry, json.loads(registry.manifests[signing["digest"]]))
    ]
    index["manifests"] = [signing | {"digest": each} for each in (*others, "sha256:" + "0" * 64, signing["digest"])]
    registry.put_manifest(tag, json.dumps(index).encode())

    found = fetch(f"oci://{registry.host}/guards/scan:bundle", tmp_path, registry)
    assert signed_by(found, [COSIGN]) is COSIGN
