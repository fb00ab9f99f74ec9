"""From the ``policy`` section of a configuration to a policy, or to every problem in it."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc.mcp import Limits, TransportKind
from guardsvc.model import PHASES, REQUEST_PHASES, RESPONSE_PHASES, Direction, FailureMode, Globs, Mode, Phase
from tests.policy.built import Built, build, problems

REQUEST, RESPONSE = Direction.REQUEST, Direction.RESPONSE


def test_an_empty_policy_denies_and_enforces() -> None:
    policy = build("policy: {}")
    assert policy.guards == ()
    assert (policy.settings.default, policy.settings.mode) == ("deny", Mode.ENFORCE)
    assert set(policy.transport) == set(TransportKind)
    assert set(policy.transport.values()) == {"deny"}
    assert (policy.deadline, policy.reserve) == (0.5, 0.01)
    assert not policy.rules.batches
    assert not policy.rules.lossy_body


def test_a_guard_has_what_its_entry_says() -> None:
    (bound,) = build(
        """
        policy:
          guards:
            - {type: native_guard, id: words, priority: 5, failure_mode: fail_open, timeout_ms: 250,
               mode: shadow, settings: {words: [x]}}
        """
    ).guards
    assert (bound.id, bound.type.name, bound.priority, bound.timeout) == ("words", "native_guard", 5, 0.25)
    assert (bound.failure_mode, bound.mode, bound.inline) == (FailureMode.FAIL_OPEN, Mode.SHADOW, True)
    assert (bound.scope, bound.window) == (None, None)
    assert isinstance(bound.guard, Built)
    assert bound.guard.settings.model_dump() == {"words": ("x",)}


def test_defaults_of_a_guard_are_the_safe_ones() -> None:
    (bound,) = build("policy: {guards: [{type: remote, settings: {url: u}}]}").guards
    assert (bound.id, bound.priority, bound.timeout, bound.inline) == ("remote", 100, 0.1, False)
    assert (bound.failure_mode, bound.mode) == (FailureMode.FAIL_CLOSED, Mode.ENFORCE)


@pytest.mark.parametrize(
    ("entry", "request_s", "response_s"),
    [
        ("{type: native_guard, runs_on: [request, response]}", 0.1, 3),
        ("{type: native_guard, runs_on: [request, response], timeout_ms: 250}", 0.25, 0.25),
        ("{type: remote, runs_on: [request, response], settings: {url: u}}", 0.1, 0.1),
    ],
)
def test_native_guards_have_the_time_of_a_response_for_what_servers_send(
    entry: str, request_s: float, response_s: float
) -> None:
    policy = build(f"policy: {{responses: {{deadline_ms: 3000}}, guards: [{entry}]}}")
    times = []
    for direction, phase in ((REQUEST, Phase.TOOL_INVOKE), (RESPONSE, Phase.TOOL_RESULT)):
        (step,) = policy.chain(direction, phase)
        times += [bound.timeout for bound in (*step.inline, *step.concurrent)]
    assert times == [request_s, response_s]


def test_a_guard_is_told_its_id_the_servers_and_the_schemas_of_their_tools() -> None:
    (bound,) = build(
        """
        policy:
          servers:
            files: {tools: {read: {input_schema: {type: object}}, write: {}}}
            mail: {}
          guards: [{type: native_guard, id: g}]
        """
    ).guards
    assert isinstance(bound.guard, Built)
    context = bound.guard.context
    assert (context.guard_id, context.servers) == ("g", frozenset({"files", "mail"}))
    assert context.input_schemas == {("files", "read"): {"type": "object"}}


def test_settings_of_the_policy_arrive_where_they_count() -> None:
    policy = build(
        """
        policy:
          deadline_ms: 80
          deadline_reserve_ms: 3
          transport: {get_stream: allow, other: allow}
          integrity:
            {max_bytes: 2048, max_depth: 5, max_keys: 20, max_containers: 30, batches: true, lossy_body: true,
             mcp_paths: [/mcp]}
          responses: {max_depth: 6, max_keys: 21, max_containers: 31}
        """
    )
    assert (policy.deadline, policy.reserve) == (0.08, 0.003)
    assert [kind for kind, action in policy.transport.items() if action == "allow"] == [
        TransportKind.GET_STREAM,
        TransportKind.OTHER,
    ]
    rules = policy.rules
    assert rules.limits == Limits(max_bytes=2048, max_depth=5, max_keys=20, max_containers=30)
    responses = rules.response_limits
    assert (responses.max_depth, responses.max_keys, responses.max_containers) == (6, 21, 31)
    assert (rules.batches, rules.lossy_body, rules.mcp_paths.patterns) == (True, True, ("/mcp",))
    assert isinstance(rules.mcp_paths, Globs)


def test_a_disabled_guard_is_not_part_of_the_policy_but_its_settings_are_checked() -> None:
    assert build("policy: {guards: [{type: native_guard, enabled: false}]}").guards == ()
    assert problems("policy: {guards: [{type: native_guard, enabled: false, settings: {words: [bad]}}]}") == [
        'policy.guards[0].settings.words[0]: "bad" is a bad word'
    ]


@pytest.mark.parametrize(
    ("runs_on", "points"),
    [
        ("[request]", {(REQUEST, phase) for phase in REQUEST_PHASES}),
        ("[response]", {(RESPONSE, phase) for phase in RESPONSE_PHASES}),
        ("[tool_invoke]", {(REQUEST, Phase.TOOL_INVOKE)}),
        ("[tool_result]", {(RESPONSE, Phase.TOOL_RESULT)}),
        ("[tools_list]", {(REQUEST, Phase.TOOLS_LIST), (RESPONSE, Phase.TOOLS_LIST)}),
        (
            "[tool_invoke, response]",
            {(REQUEST, Phase.TOOL_INVOKE)} | {(RESPONSE, phase) for phase in RESPONSE_PHASES},
        ),
        ("null", {(RESPONSE, Phase.TOOL_RESULT), (REQUEST, Phase.TOOLS_LIST), (RESPONSE, Phase.TOOLS_LIST)}),
    ],
)
def test_runs_on_names_phases_and_directions_and_the_type_knows_better_than_nothing(
    runs_on: str, points: set[Any]
) -> None:
    text = f"policy: {{guards: [{{type: remote, runs_on: {runs_on}, settings: {{url: u}}}}]}}"
    policy = build(text)
    assert policy.guards[0].points == points
    for direction in Direction:
        for phase in PHASES:
            assert bool(policy.chain(direction, phase)) is ((direction, phase) in points)


def test_a_type_that_names_no_phases_runs_on_requests() -> None:
    (bound,) = build("policy: {guards: [{type: native_guard}]}").guards
    assert bound.points == {(REQUEST, phase) for phase in REQUEST_PHASES}


def test_steps_are_priorities_in_order_with_native_guards_before_the_others() -> None:
    policy = build(
        """
        policy:
          guards:
            - {type: remote, id: r1, priority: 10, runs_on: [request], settings: {url: u}}
            - {type: native_guard, id: n3, priority: 20}
            - {type: native_guard, id: n1, priority: 10}
            - {type: remote, id: r2, priority: 10, runs_on: [request], settings: {url: u}}
            - {type: native_guard, id: off, priority: 10, enabled: false}
            - {type: native_guard, id: n2, priority: 10}
            - {type: native_guard, id: first, priority: 0}
        """
    )
    steps = policy.chain(REQUEST, Phase.TOOL_INVOKE)
    assert [([g.id for g in step.inline], [g.id for g in step.concurrent]) for step in steps] == [
        (["first"], []),
        (["n1", "n2"], ["r1", "r2"]),
        (["n3"], []),
    ]
    assert policy.chain(RESPONSE, Phase.TOOL_RESULT) == ()
    assert [bound.id for bound in policy.guards] == ["r1", "n3", "n1", "r2", "n2", "first"]


BASE = {"guards": "[{type: native_guard, id: a}]", "name": "p", "servers": "{files: {}}"}


def text_of(**changes: str) -> str:
    return "policy: {" + ", ".join(f"{key}: {value}" for key, value in (BASE | changes).items()) + "}"


def test_the_hash_is_the_same_for_the_same_settings_however_written() -> None:
    expected = build(text_of()).hash
    assert build(text_of()).hash == expected
    assert build(text_of(default="deny", deadline_ms="500.0")).hash == expected
    reordered = """
        policy:
          servers:
            files: {}
          name: "p"   # a comment
          guards:
            - id: a
              type: native_guard
              priority: 100
    """
    assert build(reordered).hash == expected


@pytest.mark.parametrize(
    "change",
    [
        {"default": "allow"},
        {"mode": "shadow"},
        {"name": "q"},
        {"servers": "{files: {ids: [f]}}"},
        {"servers": "{files: {tools: {x: {input_schema: {a: 1}}}}}"},
        {"transport": "{other: allow}"},
        {"integrity": "{batches: true}"},
        {"denials": "{status: 403}"},
        {"guards": "[]"},
        {"guards": "[{type: native_guard, id: b}]"},
        {"guards": "[{type: native_guard, id: a, settings: {words: [x]}}]"},
        {"guards": "[{type: native_guard, id: a, match: {tools: [x]}}]"},
        {"guards": "[{type: native_guard, id: a, active: {from: 2026-01-01T00:00:00Z}}]"},
        {"guards": "[{type: native_guard, id: a, enabled: false}]"},
        {"guards": "[{type: native_guard, id: a}, {type: native_guard, id: b}]"},
    ],
    ids=str,
)
def test_the_hash_differs_for_different_settings(change: dict[str, str]) -> None:
    assert build(text_of(**change)).hash != build(text_of()).hash


def test_the_hash_tells_the_order_of_guards() -> None:
    a, b = "{type: native_guard, id: a}", "{type: native_guard, id: b}"
    assert build(text_of(guards=f"[{a}, {b}]")).hash != build(text_of(guards=f"[{b}, {a}]")).hash


NONE = "none, since the policy declares no servers"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "{guards: [{type: native_guard}, {type: remote, id: native_guard, settings: {url: u}}]}",
            ['policy.guards[1].id: "native_guard" is the id of guards[0] too; give each guard its own id'],
        ),
        (
            "{guards: [&a {type: native_guard, id: a}, {type: native_guard, id: a, enabled: false}, *a]}",
            [
                'policy.guards[1].id: "a" is the id of guards[0] too; give each guard its own id',
                'policy.guards[2].id: "a" is the id of guards[0] too; give each guard its own id',
            ],
        ),
        (
            "{servers: {b: {}, a: {}}, guards: [{type: native_guard, match: {servers: [a, x, 'y*']}}]}",
            [
                'policy.guards[0].match.servers[1]: "x" matches no server; declared are: a, b',
                'policy.guards[0].match.servers[2]: "y*" matches no server; declared are: a, b',
            ],
        ),
        (
            "{guards: [{type: native_guard, match: {servers: ['*']}}]}",
            [f'policy.guards[0].match.servers[0]: "*" matches no server; declared are: {NONE}'],
        ),
        (
            "{servers: {a: {tool_prefixes: [x_, y_]}, b: {tool_prefixes: [z_, x_]}, c: {uri_prefixes: [x_]}}}",
            ['policy.servers.b.tool_prefixes[1]: "x_" is a prefix of server "a" too'],
        ),
        (
            "{servers: {a: {uri_prefixes: [x+]}, b: {uri_prefixes: [x+]}}}",
            ['policy.servers.b.uri_prefixes[0]: "x+" is a prefix of server "a" too'],
        ),
        (
            "{guards: [{type: native_guard, settings: {words: [good, bad]}}]}",
            ['policy.guards[0].settings.words[1]: "bad" is a bad word'],
        ),
    ],
)
def test_problems_that_only_the_policy_as_a_whole_shows(text: str, found: list[str]) -> None:
    assert problems(f"policy: {text}") == found


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{guards: [{type: unheard_of}]}", "policy.guards[0].type"),
        ("{guards: [{id: x}]}", "policy.guards[0].type"),
        ("{guards: [{type: remote}]}", "policy.guards[0].settings"),
        ("{guards: [{type: remote, settings: {url: u, words: []}}]}", "policy.guards[0].settings.words"),
        ("{guards: [{type: native_guard, runs_on: [tool_calls]}]}", "policy.guards[0].runs_on[0]"),
        ("{guards: [{type: native_guard, runs_on: []}]}", "policy.guards[0].runs_on"),
        ("{guards: [{type: native_guard, failure_mode: open}]}", "policy.guards[0].failure_mode"),
        ("{guards: [{type: native_guard, mode: off}]}", "policy.guards[0].mode"),
        ("{guards: [{type: native_guard, timeout_ms: 0}]}", "policy.guards[0].timeout_ms"),
        ("{guards: [{type: native_guard, priority: -1}]}", "policy.guards[0].priority"),
        ("{guards: [{type: native_guard, active: {from: '2026-01-01T00:00:00'}}]}", "policy.guards[0].active.from"),
        ("{guards: [{type: native_guard, active: {until: 2026-01-01}}]}", "policy.guards[0].active.until"),
        (
            "{guards: [{type: native_guard, active: {from: 2026-01-02T00:00:00Z, until: 2026-01-02T00:00:00Z}}]}",
            "policy.guards[0].active.until",
        ),
        ("{guards: [{type: native_guard, match: {tools: []}}]}", "policy.guards[0].match.tools"),
        ("{guards: [{type: native_guard, match: {tenants: []}}]}", "policy.guards[0].match.tenants"),
        ("{guards: [{type: native_guard, match: {tool: [x]}}]}", "policy.guards[0].match.tool"),
        ("{default: maybe}", "policy.default"),
        ("{denials: {status: 500}}", "policy.denials.status"),
        ("{integrity: {max_depth: 1000}}", "policy.integrity.max_depth"),
        ("{servers: {'': {}}}", 'policy.servers[""]'),
        ("{unheard_of: 1}", "policy.unheard_of"),
    ],
)
def test_a_problem_of_one_setting_is_found_at_its_place(text: str, path: str) -> None:
    (problem,) = problems(f"policy: {text}")
    assert problem.partition(":")[0] == path


def test_problems_of_several_guards_are_found_at_once() -> None:
    found = problems(
        """
        policy:
          servers: {a: {tool_prefixes: [x]}, b: {tool_prefixes: [x]}}
          guards:
            - {type: native_guard, settings: {words: [bad]}}
            - {type: native_guard, match: {servers: [c]}}
        """
    )
    assert [problem.partition(":")[0] for problem in found] == [
        "policy.servers.b.tool_prefixes[0]",
        "policy.guards[0].settings.words[0]",
        "policy.guards[1].id",
        "policy.guards[1].match.servers[0]",
    ]
