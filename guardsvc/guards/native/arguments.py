"""Arguments: every value that a client sends to a server, with its place, its name and its schema.

For guards that look into requests. A message is walked once for all of them, without recursion; pointers and
schemas are made only for the values that are asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from guardsvc.guards.native.argument_schemas import Scalar, Schemas, merged
from guardsvc.mcp.revisions import KNOWN_METHODS
from guardsvc.model import Direction, Kind, Operation

__all__ = ["MIN_TEXT", "PROTOTYPE", "Scalar", "Sent", "sent_texts", "sent_values"]

MIN_TEXT = 2
"""Characters below which a text says nothing."""
MIN_NAME = 12
"""The same of the name of a member, unless it has a meaning of its own as ``$where`` and ``prototype`` do."""
PROTOTYPE = "prototype"
"""Of a ``constructor`` in JavaScript: what all objects of a kind have."""

_ARGUMENTS = "arguments"
_OF_INDEX = 10
"""Characters of a pointer that an index may take."""
_MEMO = "sent_texts"
_TELLING = frozenset("$_")
_WITHOUT_TEXT = frozenset({int, float, bool, type(None)})
_ONLY_TEXT = frozenset({str})
_LONG_ARRAY = 64
"""Texts of an array from which on it is worth while to know how long they are."""
_MEMBERS = {"tools/call": (_ARGUMENTS, "inputResponses"), "prompts/get": (_ARGUMENTS, "inputResponses")}
"""What a method carries for the server's code, where it is not a URI or nothing but answers."""
_OF_PROTOCOL = "io.modelcontextprotocol/"
_ANSWERS = (Kind.RESULT, Kind.ERROR)


class _Place(msgspec.Struct, eq=False, gc=False):
    """An object or array of the message, and what the schemas say of it where somebody has asked."""

    parent: _Place | None
    token: str | int
    schemas: Schemas | None = None
    looked_up: tuple[Mapping[str, Any], ...] | None = None

    def nodes(self) -> tuple[Schemas | None, tuple[Mapping[str, Any], ...]]:
        """The schemas of this place, and what they are looked up in."""
        line = [self]
        while line[-1].looked_up is None and (parent := line[-1].parent) is not None:
            line.append(parent)
        top = line.pop()
        schemas, nodes = top.schemas, top.looked_up or ()
        for place in reversed(line):
            nodes = () if schemas is None else schemas.below(nodes, place.token)
            place.schemas = schemas
            place.looked_up = nodes
        return schemas, nodes


_LATER = _Place(None, "")
"""Stands for a place that nobody has asked for."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """One value that a client sends, or the name of a member.

    Attributes:
        value: a string, number, boolean or null; the name itself where ``is_key``.
        name: the nearest property it belongs to, which for a key is the one that holds the object; empty where
            there is none. What is to be completed has the name of its argument.
        is_key: whether it is the name of a member, not a value.
        depth: objects and arrays that it lies in, below the payload.
    """

    value: Scalar
    name: str
    is_key: bool
    depth: int
    _place: _Place | None
    _token: str | int

    @property
    def holder(self) -> object:
        """What holds it: the same object for all members of one object or array, None for the payload."""
        return self._place

    @property
    def where_size(self) -> int:
        """About how many characters ``where`` has, without making it: names can be as long as the message."""
        size = 0
        place: _Place | None = self._place
        token = self._token
        while True:
            size += len(token) + 1 if isinstance(token, str) else _OF_INDEX
            if place is None:
                return size
            token = place.token
            place = place.parent

    @property
    def where(self) -> str:
        """JSON pointer into the payload of the operation; for a key, to the member."""
        tokens = [self._token]
        place = self._place
        while place is not None:
            tokens.append(place.token)
            place = place.parent
        return "".join(f"/{str(token).replace('~', '~0').replace('/', '~1')}" for token in reversed(tokens))

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """What the tool's schema says of the value; None where it says nothing, and for keys.

        References and combinations are put together where they allow the type of the value.
        """
        if self._place is None or self.is_key:
            return None
        schemas, above = self._place.nodes()
        nodes = () if schemas is None else schemas.below(above, self._token)
        return merged(nodes, self.value)


def sent_values(
    operation: Operation, schema: Mapping[str, Any] | None = None, *, beside: bool = False
) -> Iterator[Sent]:
    """Every value of a client's message that reaches the server's code, in document order.

    These are the arguments of tools and prompts, the URI of a resource, what is to be completed, the answers of
    a retry, the whole answer to a server's request, and all params of a method that MCP does not know. Objects
    and arrays are no values of their own; each member of an object gives its name first.

    Args:
        operation: of the request direction; others have none.
        schema: the tool's ``inputSchema``. Only local references are followed.
        beside: whether to go on with the other members of the params, which the protocol gives a meaning or
            nobody does, such as ``_meta`` and ``clientInfo``. Not among them are the state of a server that a
            retry returns, what identifies progress, the tool's name, and what MCP itself has in ``_meta``.
    """
    roots = _roots(operation, schema)
    return chain.from_iterable(_values(*root) for root in (chain(roots, _beside(operation)) if beside else roots))


def sent_texts(
    operation: Operation, schema: Mapping[str, Any] | None = None, least: int = MIN_TEXT, *, beside: bool = False
) -> Sequence[Sent]:
    """The texts among ``sent_values`` that are long enough to say something. Not to be changed.

    An operation is walked once for all guards that ask with the same schema.

    Args:
        operation: as for ``sent_values``.
        schema: as for ``sent_values``.
        least: characters that a text has at least, ``MIN_TEXT`` or more.
        beside: as for ``sent_values``.
    """
    memo: tuple[Any, list[_Run], dict[tuple[int, bool], list[Sent]]] | None = operation.__dict__.get(_MEMO)
    if memo is None or memo[0] is not schema:
        runs: list[_Run] = []
        memo = schema, runs, {(MIN_TEXT, False): _texts(_roots(operation, schema), runs)}
        operation.__dict__[_MEMO] = memo
    found = memo[2].get((least, beside))
    if found is None:
        texts = memo[2][MIN_TEXT, False]
        found = texts if least <= MIN_TEXT else _longer(texts, memo[1], least)
        if beside:
            found = [*found, *(sent for sent in _texts(_beside(operation), []) if len(str(sent.value)) >= least)]
        memo[2][least, beside] = found
    return found


_Run = tuple[int, int, int]
"""Texts of one array: where they begin and end among all texts, and how long the longest one is."""


def _longer(texts: list[Sent], runs: list[_Run], least: int) -> list[Sent]:
    """The texts of so many characters. Arrays that have none are left out as they are."""
    found: list[Sent] = []
    position = 0
    for begin, end, _ in (*(run for run in runs if run[2] < least), (len(texts), 0, 0)):
        found += [sent for sent in texts[position:begin] if len(str(sent.value)) >= least]
        position = end
    return found


def _texts(roots: Iterable[_Root], runs: list[_Run]) -> list[Sent]:
    """The texts in some values, and the long arrays of them that there are."""
    found: list[Sent] = []
    for value, place, name, depth in roots:
        if type(value) is dict or type(value) is list:
            _gather(found, runs, value, place, name, depth)
        elif type(value) is str and len(value) >= MIN_TEXT and place is not None:
            found.append(Sent(value, name, False, depth - 1, place.parent, place.token))
    return found


_Root = tuple[Any, "_Place | None", str, int]
"""A value with its place, its name, and the depth of what is in it."""


def _roots(operation: Operation, schema: Mapping[str, Any] | None) -> Iterator[_Root]:
    payload = operation.payload
    if operation.direction is not Direction.REQUEST or type(payload) is not dict:
        return
    if operation.kind in _ANSWERS or operation.method not in KNOWN_METHODS:
        yield payload, None, "", 1
        return
    if operation.method == "completion/complete":
        yield from _completed(payload)
    for token in _MEMBERS.get(operation.method, ("uri", "inputResponses")):
        if token in payload:
            schemas = Schemas(schema) if schema is not None and token == _ARGUMENTS else None
            place = _Place(None, token, schemas, None if schemas is None else schemas.root())
            yield payload[token], place, "" if token == _ARGUMENTS else token, 2


def _beside(operation: Operation) -> Iterator[_Root]:
    """What ``_roots`` leaves out of the params of a method of MCP."""
    payload = operation.payload
    if operation.direction is not Direction.REQUEST or type(payload) is not dict:
        return
    method = operation.method
    if operation.kind in _ANSWERS or method not in KNOWN_METHODS:
        return
    walked = {*_MEMBERS.get(method, ("uri", "inputResponses")), "requestState", "progressToken"}
    if method == "tools/call":
        walked.add("name")
    rest = {name: value for name, value in payload.items() if name not in walked}
    if type(meta := rest.get("_meta")) is dict:
        rest["_meta"] = {
            name: value for name, value in meta.items() if name != "progressToken" and not name.startswith(_OF_PROTOCOL)
        }
    if method == "completion/complete":
        for name, inner in (("argument", "value"), ("context", _ARGUMENTS)):
            if type(value := rest.get(name)) is dict:
                rest[name] = {token: member for token, member in value.items() if token != inner}
    if rest:
        yield rest, None, "", 1


def _completed(payload: dict[str, Any]) -> Iterator[_Root]:
    argument = payload.get("argument")
    if type(argument) is dict and "value" in argument:
        name = argument.get("name")
        place = _Place(_Place(None, "argument"), "value")
        yield argument["value"], place, name if type(name) is str else "value", 3
    context = payload.get("context")
    if type(context) is dict and _ARGUMENTS in context:
        yield context[_ARGUMENTS], _Place(_Place(None, "context"), _ARGUMENTS), "", 3


def _values(value: Any, place: _Place | None, name: str, depth: int) -> Iterator[Sent]:
    """A value and what is in it, where ``place`` is its own."""
    if place is None or type(value) is dict or type(value) is list:
        return _members(value, place, name, depth)
    return iter((Sent(value, name, False, depth - 1, place.parent, place.token),))


def _gather(  # noqa: C901, PLR0912  a call costs more than a step
    found: list[Sent], runs: list[_Run], value: Any, place: _Place | None, name: str, depth: int
) -> None:
    """Add the texts of an object or array; see ``_members``. Places are made for those that have texts."""
    open_ones: list[list[Any]] = []
    token_of_place: Any = None
    dull: set[str] = set()
    keyed = type(value) is dict
    members: Iterator[tuple[Any, Any]] = iter(value.items()) if keyed else enumerate(value)
    while True:
        for token, member in members:
            if keyed and token not in dull:
                if len(token) >= MIN_NAME or token == PROTOTYPE or (token[:1] in _TELLING and len(token) >= MIN_TEXT):
                    if place is _LATER:
                        place = _placed(open_ones, token_of_place)
                    found.append(Sent(token, name, True, depth, place, token))
                else:
                    dull.add(token)
            kind = type(member)
            if kind is str:
                if len(member) >= MIN_TEXT:
                    if place is _LATER:
                        place = _placed(open_ones, token_of_place)
                    found.append(Sent(member, token if keyed else name, False, depth, place, token))
            elif kind is dict and member:
                if (
                    type(next(iter(member.values()))) in _WITHOUT_TEXT
                    and dull.issuperset(member)
                    and _WITHOUT_TEXT.issuperset(map(type, member.values()))
                ):
                    continue
                open_ones.append([members, place, name, keyed, token_of_place])
                place, token_of_place, depth = _LATER, token, depth + 1
                if keyed:
                    name = token
                keyed, members = True, iter(member.items())
                break
            elif kind is list and member:
                first = type(member[0])
                if first in _WITHOUT_TEXT and _WITHOUT_TEXT.issuperset(map(type, member)):
                    continue
                if first is str and _ONLY_TEXT.issuperset(map(type, member)):
                    if place is _LATER:
                        place = _placed(open_ones, token_of_place)
                    begin = len(found)
                    found += _texts_of_list(member, _Place(place, token), token if keyed else name, depth + 1)
                    if len(member) > _LONG_ARRAY:
                        runs.append((begin, len(found), max(map(len, member))))
                    continue
                open_ones.append([members, place, name, keyed, token_of_place])
                place, token_of_place, depth = _LATER, token, depth + 1
                if keyed:
                    name = token
                keyed, members = False, enumerate(member)
                break
        else:
            if not open_ones:
                return
            members, place, name, keyed, token_of_place = open_ones.pop()
            depth -= 1


def _texts_of_list(members: list[str], place: _Place, name: str, depth: int) -> list[Sent]:
    return [Sent(text, name, False, depth, place, index) for index, text in enumerate(members) if len(text) >= MIN_TEXT]


def _placed(open_ones: list[list[Any]], token: Any) -> _Place:
    """The place of the innermost object or array, with those around it that are not made yet."""
    first = len(open_ones)
    while open_ones[first - 1][1] is _LATER:
        first -= 1
    place = open_ones[first - 1][1]
    for one in open_ones[first:]:
        place = one[1] = _Place(place, one[4])
    return _Place(place, token)


def _members(value: dict[str, Any] | list[Any], place: _Place | None, name: str, depth: int) -> Iterator[Sent]:
    """What is in an object or array at a place; ``depth`` is that of its members."""
    open_ones: list[tuple[Iterator[tuple[Any, Any]], _Place | None, str, bool]] = [_opened(value, place, name)]
    while open_ones:
        members, place, name, keyed = open_ones[-1]
        for token, member in members:
            if keyed:
                yield Sent(token, name, True, depth, place, token)
            kind = type(member)
            if kind is dict or kind is list:
                open_ones.append(_opened(member, _Place(place, token), token if keyed else name))
                depth += 1
                break
            yield Sent(member, token if keyed else name, False, depth, place, token)
        else:
            open_ones.pop()
            depth -= 1


def _opened(
    value: dict[str, Any] | list[Any], place: _Place | None, name: str
) -> tuple[Iterator[tuple[Any, Any]], _Place | None, str, bool]:
    if type(value) is dict:
        return iter(value.items()), place, name, True
    return enumerate(value), place, name, False
