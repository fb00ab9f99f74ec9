"""Where an operation is headed: the gateway's id, then the host, then the prefix."""

from __future__ import annotations

import pytest

from guardsvc.model import SubjectKind
from guardsvc.policy import AmbiguousServerError, Place, ServerTable
from tests.policy.built import build

SERVERS = """
policy:
  servers:
    files:
      hosts: [files.example, "*.files.example", "[::1]"]
      tool_prefixes: [files_, files_old_]
      uri_prefixes: ["files+"]
    mail: {ids: [mail-1, shared], hosts: [Mail.Example, both.example], tool_prefixes: [mail_, m_]}
    chat: {ids: [chat-1, shared], hosts: [both.example], tool_prefixes: [chat_, mail_x_]}
    plain: {hosts: [plain.example]}
"""
TABLE: ServerTable = build(SERVERS).servers
NOWHERE = Place(None, (), None)


def only(server: str, subject: str | None) -> Place:
    return Place(server, (server,), subject)


def place(
    subject: str | None = None,
    *,
    server_id: str | None = None,
    host: str = "",
    kind: SubjectKind | None = SubjectKind.TOOL,
) -> Place:
    return TABLE.place(server_id=server_id, host=host, kind=kind, subject=subject)


@pytest.mark.parametrize(
    ("server_id", "servers"),
    [
        ("files", ("files",)),
        ("mail-1", ("mail",)),
        ("shared", ("mail", "chat")),
        ("mail", ()),
        ("Files", ()),
        ("unknown", ()),
    ],
)
def test_ids_are_the_servers_own_name_unless_others_are_given(server_id: str, servers: tuple[str, ...]) -> None:
    found = place(server_id=server_id)
    assert found.servers == servers
    assert found.server == (servers[0] if len(servers) == 1 else None)


@pytest.mark.parametrize(
    ("host", "servers"),
    [
        ("files.example", ("files",)),
        ("files.example:8080", ("files",)),
        ("FILES.Example:1", ("files",)),
        ("files.example.", ("files",)),
        ("files.example.:443", ("files",)),
        ("files.example:", ("files",)),
        ("a.b.files.example", ("files",)),
        ("mail.EXAMPLE", ("mail",)),
        ("both.example:80", ("mail", "chat")),
        ("[::1]", ("files",)),
        ("[::1]:8080", ("files",)),
        ("[::2]:8080", ()),
        ("files.example:80:80", ()),
        ("files.example:x", ()),
        ("files.example.evil", ()),
        ("evilfiles.example", ()),
        ("", ()),
    ],
)
def test_hosts_count_without_port_and_case(host: str, servers: tuple[str, ...]) -> None:
    assert place(host=host).servers == servers


@pytest.mark.parametrize(
    ("servers", "subject", "expected"),
    [
        (("files",), None, only("files", None)),
        (("files",), "read", only("files", "read")),
        (("files",), "files_read", only("files", "read")),
        (("mail",), "m_send", only("mail", "send")),
        (("mail-1",), "send", only("mail", "send")),
        (("shared",), None, Place(None, ("mail", "chat"), None)),
        (("shared",), "chat_say", only("chat", "say")),
        (("files", "mail"), None, Place(None, ("files", "mail"), None)),
        (("files", "files"), None, only("files", None)),
        (("files", "mail"), "mail_send", only("mail", "send")),
        (("files", "mail"), "send", Place(None, ("files", "mail"), "send")),
        (("unknown",), "files_read", Place(None, (), "files_read")),
        (("files", "unknown"), None, NOWHERE),
    ],
)
def test_servers_that_a_caller_names(servers: tuple[str, ...], subject: str | None, expected: Place) -> None:
    assert TABLE.place_among(servers, kind=SubjectKind.TOOL, subject=subject) == expected


def test_a_name_of_one_server_that_is_an_id_of_another_is_ambiguous() -> None:
    table = build("policy: {servers: {a: {ids: [b]}, b: {ids: [c]}}}").servers
    with pytest.raises(AmbiguousServerError):
        table.place_among(("b",), kind=None, subject=None)
    with pytest.raises(AmbiguousServerError):
        TABLE.place_among(("mail", "chat"), kind=SubjectKind.TOOL, subject="mail_x_y")


def test_an_id_counts_before_the_host_and_an_unknown_one_is_an_unknown_server() -> None:
    assert place(server_id="mail-1", host="files.example").servers == ("mail",)
    assert place(server_id="unknown", host="files.example") == NOWHERE
    assert place("files_read", server_id="unknown", host="files.example") == Place(None, (), "files_read")


@pytest.mark.parametrize(
    ("subject", "kind", "expected"),
    [
        ("files_read", SubjectKind.TOOL, only("files", "read")),
        ("files_read", SubjectKind.PROMPT, only("files", "read")),
        ("files_old_read", SubjectKind.TOOL, only("files", "read")),
        ("files_files_read", SubjectKind.TOOL, only("files", "files_read")),
        ("m_send", SubjectKind.TOOL, only("mail", "send")),
        ("files_", SubjectKind.TOOL, Place(None, (), "files_")),
        ("Files_read", SubjectKind.TOOL, Place(None, (), "Files_read")),
        ("read", SubjectKind.TOOL, Place(None, (), "read")),
        ("files_read", SubjectKind.RESOURCE, Place(None, (), "files_read")),
        ("files+note://1", SubjectKind.RESOURCE, only("files", "note://1")),
        ("files+note://1", SubjectKind.TOOL, Place(None, (), "files+note://1")),
    ],
)
def test_a_prefix_alone_leads_to_its_server_and_is_taken_off_once(
    subject: str, kind: SubjectKind, expected: Place
) -> None:
    assert place(subject, kind=kind) == expected


def test_of_one_servers_prefixes_the_longest_is_taken_off() -> None:
    assert place("files_old_read") == only("files", "read")
    assert place("files_older") == only("files", "older")


def test_a_prefix_of_several_servers_is_ambiguous_unless_the_candidates_leave_one() -> None:
    with pytest.raises(AmbiguousServerError):
        place("mail_x_send")
    with pytest.raises(AmbiguousServerError):
        place("mail_x_send", server_id="shared")
    with pytest.raises(AmbiguousServerError):
        place("mail_x_send", host="both.example")
    assert place("mail_x_send", server_id="mail-1") == only("mail", "x_send")
    assert place("mail_x_send", server_id="chat-1") == only("chat", "send")
    assert place("mail_send", server_id="shared") == only("mail", "send")


def test_a_single_candidate_owns_names_without_a_prefix_and_with_a_strangers() -> None:
    assert place("read", server_id="files") == only("files", "read")
    assert place("mail_send", server_id="files") == only("files", "mail_send")
    assert place("chat_say", host="plain.example") == only("plain", "chat_say")


def test_a_name_without_a_prefix_may_reach_every_candidate() -> None:
    assert place("send", server_id="shared") == Place(None, ("mail", "chat"), "send")


def test_what_has_no_subject_may_reach_every_candidate() -> None:
    assert place(server_id="shared", kind=None) == Place(None, ("mail", "chat"), None)
    assert place(host="plain.example", kind=None) == only("plain", None)
    assert place() == NOWHERE


def test_a_policy_without_servers_knows_none() -> None:
    table = build("policy: {}").servers
    assert table.names == frozenset()
    assert table.place(server_id=None, host="h", kind=SubjectKind.TOOL, subject="x") == Place(None, (), "x")
