"""How alike two names are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.guards.native.names import distance, fold, is_disguised, is_near, is_near_host, skeleton

WORDS = st.text(alphabet="abcde_", max_size=12)


@given(WORDS, WORDS)
def test_a_distance_is_that_of_the_plain_algorithm(one: str, other: str) -> None:
    exact = plain(one, other)
    for most in (0, 1, 2, 12):
        assert distance(one, other, most) == min(exact, most + 1)
    assert distance(one, other, 2) == distance(other, one, 2)


def plain(one: str, other: str) -> int:
    rows = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if not i or not j:
                rows[i][j] = i + j
                continue
            cost = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (one[i - 1] != other[j - 1]))
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                cost = min(cost, rows[i - 2][j - 2] + 1)
            rows[i][j] = cost
    return rows[-1][-1]


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("github", "gihtub", True),
        ("github", "githup", True),
        ("github", "gitlab", False),
        ("mail", "male", False),
        ("mail", "mai1", True),
        ("transfer_funds", "tranferfund", True),
        ("paypal", "p\u0430yp\u0430l", True),
        ("read_file", "read\u200b_file", True),
        ("read_file", "READ-FILE", True),
        ("read_file", "write_file", False),
    ],
)
def test_near_names(one: str, other: str, near: bool) -> None:
    assert is_near(other, one) is near


def test_disguises() -> None:
    assert is_disguised("re\u0430d")
    assert is_disguised("fi1e")
    assert not is_disguised("read_file")
    assert skeleton("re\u0430d_fi1e") == skeleton("ReadFile")
    assert fold("Read-File") == "readfile"


@pytest.mark.parametrize(
    ("host", "known", "near"),
    [
        ("mcp.acrne.example", "mcp.acme.example", True),
        ("mcp.acme.example.evil.test", "mcp.acme.example", True),
        ("mcp-acme-example.evil.test", "mcp.acme.example", True),
        ("mcp.other.example", "mcp.acme.example", False),
        ("acme.example", "mcp.acme.example", False),
    ],
)
def test_near_hosts(host: str, known: str, near: bool) -> None:
    assert is_near_host(host, known) is near
