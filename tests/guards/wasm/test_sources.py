"""Where components come from: places as policies write them, files, folders, OCI layouts and registries."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.guards.wasm.loading.kept import Kept
from guardsvc.guards.wasm.loading.sources import Place, PlaceKind, SourceError, digest_of, read
from guardsvc.guards.wasm.loading.sources.manifest import config_of, manifest_of, signature_tag
from guardsvc.guards.wasm.loading.sources.push import push
from guardsvc.guards.wasm.options import WasmOptions
from tests.guards.wasm.docker_registry import docker_registry
from tests.guards.wasm.registry_server import SmallRegistry, small_registry
from tests.guards.wasm.signing import signatures_of
from tests.server.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from guardsvc.guards.wasm.loading.sources import Artifact

COMPONENT = b"\0asm" + bytes(range(256))
DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "kind", "name", "tag", "digest"),
    [
        ("/guards/a.wasm", PlaceKind.PATH, "/guards/a.wasm", None, None),
        ("/guards/../b.wasm", PlaceKind.PATH, "/b.wasm", None, None),
        ("oci-layout:/guards", PlaceKind.LAYOUT, "oci-layout:/guards", None, None),
        ("oci-layout:/guards:v1", PlaceKind.LAYOUT, "oci-layout:/guards", "v1", None),
        (f"oci-layout:/guards@{DIGEST}", PlaceKind.LAYOUT, "oci-layout:/guards", None, DIGEST),
        ("oci-layout:/a:b/guards", PlaceKind.LAYOUT, "oci-layout:/a:b/guards", None, None),
        ("oci://example.com/guards/scan", PlaceKind.REGISTRY, "oci://example.com/guards/scan", "latest", None),
        ("oci://127.0.0.1:5000/scan:2.0", PlaceKind.REGISTRY, "oci://127.0.0.1:5000/scan", "2.0", None),
        (f"oci://[::1]:5000/scan@{DIGEST}", PlaceKind.REGISTRY, "oci://[::1]:5000/scan", None, DIGEST),
        (f"oci://example.com/scan:v1@{DIGEST}", PlaceKind.REGISTRY, "oci://example.com/scan", "v1", DIGEST),
    ],
)
def test_places(text: str, kind: PlaceKind, name: str, tag: str | None, digest: str | None) -> None:
    place = Place.parse(text)

    assert (place.kind, place.name, place.tag, place.digest) == (kind, name, tag, digest)
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "oci://example.com",
        "oci://example.com/",
        "oci://example.com/UPPER",
        "oci://example.com/a/../b",
        "oci://example.com/a?x=1",
        "oci://user@example.com/a",
        "oci://example.com/a:" + "t" * 129,
        "oci://example.com/a@sha256:12",
        "oci://example.com/a@md5:" + "0" * 32,
        "oci://exa mple.com/a",
        "oci-layout:",
        "https://example.com/a.wasm",
    ],
)
def test_no_places(text: str) -> None:
    with pytest.raises(SourceError):
        Place.parse(text)


@given(st.text(max_size=80))
def test_any_other_text_of_a_registry_is_refused_or_names_no_other_host(text: str) -> None:
    try:
        place = Place.parse(f"oci://registry.example/{text}")
    except SourceError:
        return
    assert place.host == "registry.example"
    assert ".." not in place.repository.split("/")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept")


def fetch(text: str, kept: Kept, *, signatures: bool = True, **options: Any) -> Artifact:
    return read(Place.parse(text), WasmOptions.model_validate(options), kept, signatures=signatures)


def test_a_file_and_a_folder_with_signatures_beside_them(tmp_path: Path, kept: Kept) -> None:
    path = tmp_path / "guard.wasm"
    path.write_bytes(COMPONENT)
    assert fetch(str(path), kept).evidence == ()

    (tmp_path / "guard.wasm.sig").write_bytes(base64.b64encode(b"signed") + b"\n")
    from_file, from_folder = fetch(str(path), kept), fetch(str(tmp_path), kept)

    assert from_file.content == from_folder.content == COMPONENT
    assert from_file.digest == digest_of(COMPONENT)
    assert [each.signature for each in from_folder.evidence] == [b"signed"]
    bundle = tmp_path / "guard.wasm.sigstore.json"
    assert set(from_folder.files) == {tmp_path, path, tmp_path / "guard.wasm.sig", bundle}
    signature = {"signature": base64.b64encode(b"bundled").decode()}
    bundle.write_text(json.dumps({"verificationMaterial": {}, "messageSignature": signature}))
    assert [each.signature for each in fetch(str(path), kept).evidence] == [b"signed", b"bundled"]

    (tmp_path / "other.wasm").write_bytes(COMPONENT)
    with pytest.raises(SourceError, match=r"must have one file .* guard\.wasm, other\.wasm"):
        fetch(str(tmp_path), kept)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("guard.wasm", b"text", "is no WebAssembly"),
        ("guard.wasm.sig", b"!", "is no base64"),
        ("guard.wasm.sig", b"A" * 20_000, "has more than 16384 bytes"),
        ("guard.wasm.sigstore.json", b'{"dsseEnvelope":{}}', "is no bundle with the signature of a file"),
        ("guard.wasm.sigstore.json", b'{"messageSignature":{"signature":"!"}}', "is no base64"),
    ],
)
def test_files_that_cannot_be_used(name: str, content: bytes, why: str, tmp_path: Path, kept: Kept) -> None:
    (tmp_path / "guard.wasm").write_bytes(COMPONENT)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(SourceError, match=why):
        fetch(str(tmp_path / "guard.wasm"), kept)


def test_a_layout(tmp_path: Path, kept: Kept) -> None:
    folder = tmp_path / "layout"
    first = push(COMPONENT, Place.parse(f"oci-layout:{folder}:v1"), WasmOptions(), annotations={"a": "b"})
    assert first.digest == digest_of(COMPONENT)
    assert fetch(str(folder), kept).manifest == first.manifest

    second = push(COMPONENT + b"2", Place.parse(f"oci-layout:{folder}:v2"), WasmOptions())

    assert fetch(f"oci-layout:{folder}:v1", kept).content == COMPONENT
    assert fetch(f"oci-layout:{folder}@{second.manifest}", kept).digest == second.digest
    assert list(fetch(f"oci-layout:{folder}:v2", kept).files) == [folder / "index.json"]
    with pytest.raises(SourceError, match="several manifests; name one of v1, v2"):
        fetch(f"oci-layout:{folder}", kept)
    with pytest.raises(SourceError, match="v3 is not there"):
        fetch(f"oci-layout:{folder}:v3", kept)
    push(COMPONENT + b"3", Place.parse(f"oci-layout:{folder}:v2"), WasmOptions())
    assert fetch(f"oci-layout:{folder}:v2", kept).content == COMPONENT + b"3"

    (folder / "blobs" / "sha256" / first.digest.partition(":")[2]).write_bytes(COMPONENT[:-1] + b"\0")
    with pytest.raises(SourceError, match="is not what its name says"):
        fetch(f"oci-layout:{folder}:v1", kept)


def test_signatures_in_a_layout_that_cosign_saved(tmp_path: Path, kept: Kept) -> None:
    pushed = push(COMPONENT, Place.parse(f"oci-layout:{tmp_path}/l:v1"), WasmOptions())
    signatures = signatures_of([(b"payload", b"signature")])
    blobs = tmp_path / "l" / "blobs" / "sha256"
    for content in (signatures, b"payload"):
        (blobs / digest_of(content).partition(":")[2]).write_bytes(content)
    index = tmp_path / "l" / "index.json"
    listed = json.loads(index.read_text())
    by_tag = {"org.opencontainers.image.ref.name": signature_tag(pushed.manifest)}
    for notes in ({"kind": "dev.cosignproject.cosign/sigs"}, by_tag):
        entry = {"digest": digest_of(signatures), "size": len(signatures), "annotations": notes}
        index.write_text(json.dumps({"manifests": [*listed["manifests"], entry]}))

        assert [tuple(each) for each in fetch(f"oci-layout:{tmp_path}/l", kept).evidence] == [
            (b"signature", b"payload")
        ]


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (b"[]", "is no JSON object"),
        (b"{}", "is no OCI manifest"),
        (b'{"manifests":[]}', "is an index of several manifests"),
        (b'{"layers":[]}', "must have one layer application/wasm and has no layer"),
        (b'{"layers":[{"mediaType":"application/wasm"}]}', "a layer without a sha256 digest"),
        (
            json.dumps({"layers": [{"mediaType": "application/wasm", "digest": DIGEST, "size": 1 << 40}]}).encode(),
            "are allowed",
        ),
        (json.dumps({"layers": [{"mediaType": "image/png", "digest": DIGEST, "size": 1}]}).encode(), "has image/png"),
    ],
)
def test_manifests_that_name_no_component(manifest: bytes, why: str, kept: Kept) -> None:
    with small_registry() as registry:
        registry.put_manifest("v1", manifest)
        with pytest.raises(SourceError, match=why):
            fetch(f"oci://{registry.host}/scan:v1", kept, **plain(registry))


def plain(registry: SmallRegistry, **more: Any) -> dict[str, Any]:
    return {"registries": {registry.host: {"insecure": True, **more}}, "fetch_timeout_s": 5}


def put(registry: SmallRegistry, content: bytes = COMPONENT, tag: str = "v1") -> str:
    config = config_of(digest_of(content), [], [], "2026-01-01T00:00:00Z")
    registry.put(config)
    registry.put(content)
    return registry.put_manifest(tag, manifest_of(config, content, {}))


@pytest.fixture(scope="module")
def debian_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@contextmanager
def registry_host(which: str, request: pytest.FixtureRequest) -> Iterator[str]:
    if which == "debian":
        yield request.getfixturevalue("debian_registry")
        return
    with small_registry() as registry:
        yield registry.host


@pytest.mark.parametrize("which", ["small", "debian"])
def test_what_is_pushed_to_a_registry_is_what_is_pulled(which: str, request: pytest.FixtureRequest, kept: Kept) -> None:
    with registry_host(which, request) as host:
        options = WasmOptions.model_validate({"registries": {host: {"insecure": True}}})
        first = push(COMPONENT, Place.parse(f"oci://{host}/guards/scan:v1"), options)
        again = push(COMPONENT, Place.parse(f"oci://{host}/guards/scan:v2"), options)
        push(COMPONENT + b"2", Place.parse(f"oci://{host}/guards/scan:v2"), options)

        by_tag = read(Place.parse(f"oci://{host}/guards/scan:v1"), options, kept)
        by_digest = read(Place.parse(f"oci://{host}/guards/scan@{first.manifest}"), options, kept)
        moved = read(Place.parse(f"oci://{host}/guards/scan:v2"), options, kept)

        assert by_tag.content == by_digest.content == COMPONENT
        assert (by_tag.digest, by_tag.manifest) == (first.digest, first.manifest)
        assert again.digest == first.digest
        assert moved.content == COMPONENT + b"2"
        with pytest.raises(SourceError, match="v3 is not there"):
            read(Place.parse(f"oci://{host}/guards/scan:v3"), options, kept)


def test_a_pinned_component_is_pulled_once(kept: Kept) -> None:
    with small_registry() as registry:
        manifest = put(registry)
        places = f"oci://{registry.host}/scan@{manifest}"
        fetch(places, kept, signatures=False, **plain(registry))
        asked = len(registry.seen)
        again = fetch(places, kept, signatures=False, **plain(registry))

    assert asked == len(registry.seen) == 2
    assert (again.content, again.manifest) == (COMPONENT, manifest)


def test_what_a_registry_says_is_held_against_digests(kept: Kept) -> None:
    with small_registry() as registry:
        manifest = put(registry)
        registry.blobs[digest_of(COMPONENT)] = COMPONENT[:-1] + b"\0"
        with pytest.raises(SourceError, match="has a blob that is not"):
            fetch(f"oci://{registry.host}/scan:v1", kept, **plain(registry))
        registry.blobs[digest_of(COMPONENT)] = COMPONENT + b"\0"
        with pytest.raises(SourceError, match="sends more than 260 bytes"):
            fetch(f"oci://{registry.host}/scan:v1", kept, **plain(registry))
        registry.manifests[manifest] = registry.manifests["v1"] + b" "
        with pytest.raises(SourceError, match="a manifest of another digest"):
            fetch(f"oci://{registry.host}/scan@{manifest}", kept, **plain(registry))
        registry.manifests["v1"] = b" " * (4 << 20) + b" "
        with pytest.raises(SourceError, match="sends more than"):
            fetch(f"oci://{registry.host}/scan:v1", kept, **plain(registry))


@pytest.mark.parametrize("bearer", [False, True])
def test_credentials(bearer: bool, tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    encoded = base64.b64encode(b"robot:secret").decode()
    with small_registry() as registry:
        put(registry)
        registry.basic, registry.bearer = f"Basic {encoded}", bearer
        text = f"oci://{registry.host}/scan:v1"
        with pytest.raises(SourceError, match="has no credentials for it") as refused:
            fetch(text, kept, **plain(registry))
        with pytest.raises(SourceError) as wrong:
            fetch(text, kept, **plain(registry, username="robot", password="wrong"))
        given_ = fetch(text, kept, **plain(registry, username="robot", password="secret"))
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": encoded}}}))
        docker = fetch(text, kept, **plain(registry))

    assert given_.content == docker.content == COMPONENT
    assert "secret" not in f"{refused.value}{wrong.value}"
    assert "wrong" not in str(wrong.value)


def test_credentials_go_to_no_other_host(kept: Kept) -> None:
    with small_registry() as registry, small_registry() as elsewhere:
        put(registry)
        registry.basic = f"Basic {base64.b64encode(b'robot:secret').decode()}"
        registry.redirect = f"http://{elsewhere.host}"
        with pytest.raises(SourceError, match="which is not https"):
            fetch(f"oci://{registry.host}/scan:v1", kept, **plain(registry, username="robot", password="secret"))
        assert elsewhere.seen == []


def test_tls(tmp_path: Path, kept: Kept) -> None:
    authority = Authority()
    certificate, key = authority.issue_server().write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with small_registry(context) as registry, small_registry(context) as elsewhere:
        put(registry)
        put(elsewhere)
        registry.basic = f"Basic {base64.b64encode(b'robot:secret').decode()}"
        registry.redirect = f"https://{elsewhere.host}"
        text = f"oci://{registry.host}/scan:v1"
        settings = {"ca": str(tmp_path / "ca.pem"), "username": "robot", "password": "secret"}
        found = fetch(text, kept, registries={registry.host: settings})
        with pytest.raises(SourceError, match=r"cannot be reached.*certificate"):
            fetch(text, kept)

    assert found.content == COMPONENT
    assert [given for _, _, given in elsewhere.seen] == [None]


def test_insecure_is_for_this_machine_only(kept: Kept) -> None:
    with pytest.raises(SourceError, match="loopback address only"):
        fetch("oci://registry.example/scan:v1", kept, registries={"registry.example": {"insecure": True}})


def test_a_registry_that_is_not_there_or_never_answers(kept: Kept) -> None:
    with small_registry() as registry:
        registry.stalls = threading.Event()
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"has not answered within 0\.2 s"):
            fetch(f"oci://{registry.host}/scan", kept, **{**plain(registry), "fetch_timeout_s": 0.2})
        assert time.monotonic() - began < 10
    with pytest.raises(SourceError, match="cannot be reached"):
        fetch(f"oci://{registry.host}/scan", kept, **plain(registry))
