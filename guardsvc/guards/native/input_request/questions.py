"""Questions: what a server asks the client for, wherever that travels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.model import Direction, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardsvc.model import Operation

__all__ = ["ASKING", "Question", "fields_of", "is_too_large", "questions_of", "sampled_texts", "token"]

ASKING = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
"""What each request of a server asks for."""
URL_REQUIRED = -32042
"""Code of the error by which revision 2025-11-25 sends a user to a page."""
MAX_QUESTIONS = 256
MAX_FIELDS = 256
"""Fields of all forms of a message."""
MAX_TEXTS = 1024
"""Texts of all sampling requests of a message."""


class Question(msgspec.Struct, frozen=True):
    """One question.

    Attributes:
        where: JSON pointer to its params; empty where they are the payload.
        method: as a request of the server has it.
        params: of the request.
    """

    where: str
    method: Any
    params: Any


def questions_of(operation: Operation) -> list[Question]:
    """The questions of a server's message, none where it asks nothing."""
    payload = operation.payload
    if operation.direction is not Direction.RESPONSE:
        return []
    if operation.kind in (Kind.REQUEST, Kind.NOTIFICATION):
        return [Question("", operation.method, payload)] if operation.method in ASKING else []
    if type(payload) is not dict:
        return []
    if operation.kind is Kind.ERROR:
        return _of_error(payload)
    asked = payload.get("inputRequests")
    if asked is None:
        return []
    if type(asked) is not dict:
        return [Question("/inputRequests", None, None)]
    return [
        Question(f"/inputRequests/{token(name)}/params", value.get("method"), value.get("params"))
        if type(value) is dict
        else Question(f"/inputRequests/{token(name)}", None, None)
        for name, value in asked.items()
    ]


def _of_error(payload: dict[str, Any]) -> list[Question]:
    data = payload.get("data")
    asked = data.get("elicitations") if type(data) is dict and payload.get("code") == URL_REQUIRED else None
    if type(asked) is not list:
        return []
    return [Question(f"/data/elicitations/{index}", "elicitation/create", value) for index, value in enumerate(asked)]


def fields_of(params: dict[str, Any]) -> dict[str, Any]:
    """The fields of a form by name."""
    schema = params.get("requestedSchema")
    properties = schema.get("properties") if type(schema) is dict else None
    return properties if type(properties) is dict else {}


def sampled_texts(params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a model would be given to read, each text with the JSON pointer to its message."""
    prompt = params.get("systemPrompt")
    if type(prompt) is str:
        yield "/systemPrompt", prompt
    messages = params.get("messages")
    for index, message in enumerate(messages if type(messages) is list else ()):
        content = message.get("content") if type(message) is dict else None
        for block in content if type(content) is list else [content]:
            text = block.get("text") if type(block) is dict else None
            if type(text) is str:
                yield f"/messages/{index}", text


def is_too_large(questions: Sequence[Question], max_text: int) -> bool:
    """Whether questions are more, or say more, than is looked at."""
    if len(questions) > MAX_QUESTIONS:
        return True
    fields = texts = characters = 0
    for question in questions:
        if type(question.params) is not dict:
            continue
        of_form = fields_of(question.params)
        fields += len(of_form)
        if fields > MAX_FIELDS:
            return True
        for name, field in of_form.items():
            characters += len(name)
            if type(field) is dict:
                characters += _length(field.get("title")) + _length(field.get("description"))
        characters += _length(question.params.get("message"))
        for _, text in sampled_texts(question.params):
            texts += 1
            characters += len(text)
            if texts > MAX_TEXTS:
                return True
        if characters > max_text:
            return True
    return False


def _length(text: Any) -> int:
    return len(text) if type(text) is str else 0


def token(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
