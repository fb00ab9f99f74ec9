"""Subject: what an operation is about, a tool, a prompt or a resource."""

from __future__ import annotations

from typing import Any

from guardsvc.model.phase import Phase
from guardsvc.model.word import Word

__all__ = ["SubjectKind", "subject_kind"]


class SubjectKind(Word):
    """What a subject names."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"


_BY_METHOD = {
    "tools/call": SubjectKind.TOOL,
    "prompts/get": SubjectKind.PROMPT,
    "resources/read": SubjectKind.RESOURCE,
    "resources/subscribe": SubjectKind.RESOURCE,
    "resources/unsubscribe": SubjectKind.RESOURCE,
}
_BY_PHASE = {
    Phase.TOOL_INVOKE: SubjectKind.TOOL,
    Phase.TOOL_RESULT: SubjectKind.TOOL,
    Phase.PROMPT_GET: SubjectKind.PROMPT,
    Phase.PROMPT_RESULT: SubjectKind.PROMPT,
    Phase.RESOURCE_READ: SubjectKind.RESOURCE,
    Phase.RESOURCE_RESULT: SubjectKind.RESOURCE,
}
_BY_REFERENCE = {"ref/prompt": SubjectKind.PROMPT, "ref/resource": SubjectKind.RESOURCE}


def subject_kind(phase: Phase, method: str, payload: Any) -> SubjectKind | None:
    """What the subject of an operation names, None where it has none.

    The method tells it, also of the input that a client gives while a call is under way; the phase
    where a response came without one; the reference where something is to be completed.
    """
    if kind := _BY_METHOD.get(method) or _BY_PHASE.get(phase):
        return kind
    if method != "completion/complete" or type(payload) is not dict:
        return None
    reference = payload.get("ref")
    kind_of_reference = reference.get("type") if type(reference) is dict else None
    return _BY_REFERENCE.get(kind_of_reference) if type(kind_of_reference) is str else None
