from __future__ import annotations

import pytest

from guardsvc.config import ConfigError, Path, Problem, format_path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("policy", "guards", 2, "settings"), "policy.guards[2].settings"),
        ((0, "id"), "[0].id"),
        (("servers", "git.hub", "ids"), 'servers["git.hub"].ids'),
        (("a\nb",), '["a\\nb"]'),
        (("", "x"), '[""].x'),
        (("rtl\u202e",), '["rtl\\u202e"]'),
        (("k" * 200,), '["' + "k" * 78 + "…]"),
    ],
)
def test_a_path_reads_as_a_person_writes_it(path: Path, text: str) -> None:
    assert format_path(path) == text


def test_a_problem_names_place_message_and_line() -> None:
    message = '"open" is not one of fail_closed, fail_open'
    assert str(Problem("guards[2].failure_mode", message, 14)) == f"guards[2].failure_mode: {message} (line 14)"
    assert str(Problem("guards[2].failure_mode", message)) == f"guards[2].failure_mode: {message}"
    assert str(Problem("", "not YAML", 1)) == "not YAML (line 1)"


def test_an_error_has_one_line_for_each_problem_in_the_order_of_lines() -> None:
    second = Problem("b", "wrong", 7)
    error = ConfigError("policy.yaml", [second, Problem("a", "bad", 3), second, Problem("", "too large")])
    assert str(error) == "policy.yaml: too large\npolicy.yaml:3: a: bad\npolicy.yaml:7: b: wrong"
