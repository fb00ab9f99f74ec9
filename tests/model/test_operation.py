from __future__ import annotations

from guardsvc.model import PHASES, REQUEST_PHASES, RESPONSE_PHASES, Phase


def test_every_phase_happens_in_a_direction_and_judgements_of_calls_in_one_only() -> None:
    assert REQUEST_PHASES | RESPONSE_PHASES == PHASES == frozenset(Phase)
    assert {Phase.TOOL_INVOKE, Phase.PROMPT_GET, Phase.RESOURCE_READ, Phase.INPUT_RESPONSE} == (
        REQUEST_PHASES - RESPONSE_PHASES
    )
    assert {Phase.TOOL_RESULT, Phase.PROMPT_RESULT, Phase.RESOURCE_RESULT, Phase.INPUT_REQUEST} == (
        RESPONSE_PHASES - REQUEST_PHASES
    )
