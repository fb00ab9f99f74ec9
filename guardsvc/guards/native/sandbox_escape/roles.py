"""Roles: what a field is for, told from its name and its schema, and so what is hostile in it."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import re2

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROLE_NAMES", "Role", "calculates", "is_statement", "role_of_name", "role_of_schema", "takes_statements"]


class Role(IntEnum):
    """What a field is for; one bit each."""

    PLAIN = 1
    """A name, an id, something to search for: nothing is known, and little is legitimate syntax."""
    PATH = 2
    URL = 4
    HOST = 8
    ARGUMENT = 16
    """A part of a command line."""
    COMMAND = 32
    """A whole command line: operators belong there."""
    STATEMENT = 64
    """A statement of a query language."""
    TEMPLATE = 128
    CODE = 256
    TEXT = 512
    """Prose and documents."""
    IGNORED = 1024
    """Not looked at."""
    FORMULA = 2048
    """What a calculator works out: comparisons belong there, the host of the program does not."""


ROLE_NAMES: dict[str, Role] = {role.name.lower(): role for role in Role}

_WORD = re2.compile(r"[A-Z]+[a-z0-9]*|[a-z0-9]+")
_MAX_NAME = 128

_TOLD: dict[Role, str] = {
    Role.PATH: """path paths file files filename filenames filepath dir dirs directory directories folder folders cwd
        workdir pathname basedir subdir mount logfile outfile infile""",
    Role.URL: "url urls uri uris iri href src link links endpoint webhook callback website site feed redirect",
    Role.HOST: "host hosts hostname domain domains ip ips ipaddress fqdn nameserver proxy",
    Role.COMMAND: "command commands cmd cmdline shell exec script bash powershell entrypoint",
    Role.ARGUMENT: "args argv argument arguments option options flag flags switches params parameters",
    Role.STATEMENT: "sql statement statements cypher sparql kql promql gremlin jql soql",
    Role.TEMPLATE: "template templates jinja handlebars mustache",
    Role.CODE: """code source snippet program javascript js python css html svg xml yaml json diff patch regex
        expression function lambda logic formula selector xpath""",
    Role.TEXT: """content contents body text description message messages comment comments note notes prompt prompts
        summary markdown instruction instructions thought thoughts reason reasoning explanation details document
        documents bio abstract paragraph caption quote story article context feedback analysis plan observation
        observations data answer question separator delimiter sep old_str new_str old_string new_string""",
}
_WORDS: dict[str, Role] = {word: role for role, words in _TOLD.items() for word in words.split()}
_WHOLE = {name: role for name, role in _WORDS.items() if "_" in name}
_SAYS_NOTHING = frozenset("name names list string str line location address root".split())  # noqa: SIM905
_OF_PLACES = (Role.PATH, Role.URL, Role.COMMAND, Role.HOST)
_SQL = re2.compile(r"(?i)\bsql\b|\b(?:cypher|sparql|kql|gremlin)\b|\bselect (?:statement|query)\b")
_SHELL = re2.compile(r"(?i)\b(?:shell|bash|terminal) (?:command|line|script)|command(?: line)? to (?:run|execute)")
_SQL_TOOLS = frozenset(
    """sql mysql mariadb postgres postgresql pg psql sqlite duckdb mssql sqlserver tsql plsql oracle snowflake bigquery
    redshift athena clickhouse databricks trino presto
    db dbs database databases warehouse""".split()  # noqa: SIM905
)
_QUERIES = ("query", "queries")
_FORMULAS = ("expression", "expressions", "expr", "formula", "equation", "equations", "calculation")
_CALCULATORS = frozenset(("calc", "calculate", "calculator", "calculation", "math", "maths", "arithmetic", "compute"))
_BEGIN = re2.compile(
    r"(?i)\s*(?:select|insert\s+into|update|delete\s+from|with|create|alter|drop|truncate|merge\s+into|replace\s+into"
    r"|explain|analyze|show|describe|pragma|begin|grant|revoke|vacuum|call|set|use)\s+[\w*@(\"`\[]"
)
_SCRIPT = re2.compile(r"(?i)\b(?:source code|code (?:to|snippet)|script to (?:run|execute)|javascript|python code)")


@lru_cache(maxsize=4096)
def role_of_name(name: str) -> Role:
    """The role that a property's name says; PLAIN where it says none.

    The last word weighs most: a ``file_name`` is a path, a ``command_id`` is an id.
    """
    words = [word.lower() for word in _WORD.findall(name[:_MAX_NAME])]
    if not words:
        return Role.PLAIN
    whole = _WHOLE.get("_".join(words))
    if whole is not None:
        return whole
    last = _WORDS.get(words[-1])
    if last is not None:
        return last
    if words[-1] in _SAYS_NOTHING:
        for word in reversed(words[:-1]):
            role = _WORDS.get(word, Role.PLAIN)
            if role in _OF_PLACES:
                return role
    return Role.PLAIN


@lru_cache(maxsize=4096)
def takes_statements(tool: str, name: str) -> bool:
    """Whether a field holds the query itself, since the tool is named for a database or for running queries."""
    words = [word.lower() for word in _WORD.findall(tool[:_MAX_NAME])]
    parts = _WORD.findall(name[:_MAX_NAME])
    if not words or not parts or parts[-1].lower() not in _QUERIES:
        return False
    return words[-1] in _QUERIES or not _SQL_TOOLS.isdisjoint(words)


@lru_cache(maxsize=4096)
def calculates(tool: str, name: str) -> bool:
    """Whether a field holds a formula, since the tool is named for calculating."""
    parts = _WORD.findall(name[:_MAX_NAME])
    if not parts or parts[-1].lower() not in _FORMULAS:
        return False
    return not _CALCULATORS.isdisjoint(word.lower() for word in _WORD.findall(tool[:_MAX_NAME]))


def is_statement(value: str) -> bool:
    """Whether a value begins as statements of SQL do, not as a part of one."""
    return _BEGIN.match(value[:_MAX_NAME]) is not None


def role_of_schema(role: Role, schema: Mapping[str, Any] | None) -> Role:
    """The role where the tool's schema says more than the name."""
    if schema is None:
        return role
    wanted = schema.get("format")
    if wanted in ("uri", "uri-reference", "iri", "url"):
        return Role.URL
    if wanted in ("hostname", "ipv4", "ipv6", "idn-hostname"):
        return Role.HOST
    if wanted in ("path", "file-path", "directory-path"):
        return Role.PATH
    description = schema.get("description")
    if role is not Role.PLAIN or type(description) is not str:
        return role
    description = description[:512]
    if _SQL.search(description):
        return Role.STATEMENT
    if _SHELL.search(description):
        return Role.COMMAND
    if _SCRIPT.search(description):
        return Role.CODE
    return role
