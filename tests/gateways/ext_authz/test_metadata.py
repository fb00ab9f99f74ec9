"""Dynamic metadata written as bytes reads as what the protobuf runtime would have written."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc.gateways.ext_authz.metadata import dynamic_metadata

NAMES = st.sampled_from(["decision_id", "tool", "token", "n" * 90, "n" * 200])
TEXTS = st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace").decode())


@given(st.dictionaries(NAMES, TEXTS))
@example({"tool": "x" * 111})
@example({"tool": "x" * 112})
@example({"tool": "x" * 123})
@example({"tool": "x" * 16_384})
@example({"tool": "x" * 2_100_000})
def test_it_reads_as_what_was_written(texts: dict[str, str]) -> None:
    response = CheckResponse.FromString(dynamic_metadata(texts.items()))
    assert dict(response.dynamic_metadata) == {name: text for name, text in texts.items() if text}


def test_every_length_around_the_edges_of_a_byte() -> None:
    for size in range(1, 300):
        response = CheckResponse.FromString(dynamic_metadata([("tool", "x" * size), ("after", "y")]))
        assert dict(response.dynamic_metadata) == {"tool": "x" * size, "after": "y"}


def test_what_is_no_unicode_is_replaced() -> None:
    response = CheckResponse.FromString(dynamic_metadata([("tool", "a\ud800b")]))
    assert response.dynamic_metadata["tool"] == "a?b"
