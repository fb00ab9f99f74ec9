"""The rules: what a finding is called, how bad it is and which threats it stands for."""

from __future__ import annotations

import msgspec

from guardsvc.model import Severity

__all__ = ["RULES", "Rule"]


class Rule(msgspec.Struct, frozen=True):
    """One technique.

    Attributes:
        id: of the rule.
        severity: of its findings.
        threats: threat ids of its findings.
        summary: what is found, as a noun phrase.
    """

    id: str
    severity: Severity
    threats: tuple[str, ...]
    summary: str


_PATH = ("SAF-T1105", "MCP05")
_COMMAND = ("SAF-T1101", "MCP05")
_URL = ("SAF-T1901", "MCP05")
_ESCAPE = ("SAF-T1303", "SAF-T1305", "MCP05")
_HIGH, _CRITICAL, _MEDIUM = Severity.HIGH, Severity.CRITICAL, Severity.MEDIUM

_ROWS = (
    # Paths.
    Rule("path_traversal", _HIGH, _PATH, "a path that leaves the directory it starts from"),
    Rule("overlong_encoding", _HIGH, _PATH, "UTF-8 in more bytes than it needs, or no UTF-8, behind percent signs"),
    Rule("nul_byte", _HIGH, _PATH, "a NUL in a name, at which some readers stop"),
    Rule("system_path", _HIGH, _PATH, "a file of the operating system"),
    Rule("device_path", _HIGH, _PATH, "a device, or a Windows path that goes round the file names"),
    Rule("unc_path", _HIGH, _PATH, "a file of another host (UNC)"),
    Rule("credential_file", _HIGH, _PATH, "a file whose purpose is to hold credentials"),
    Rule("outside_root", _HIGH, _PATH, "an absolute path outside `allowed_roots`"),
    # Commands.
    Rule("command_injection", _HIGH, _COMMAND, "an operator of the shell with a command"),
    Rule("command_substitution", _HIGH, _COMMAND, "a command to be run inside of a value"),
    Rule("obfuscated_command", _HIGH, _COMMAND, "a command spelt so that filters do not see it"),
    Rule("destructive_command", _CRITICAL, _COMMAND, "a command that destroys, or takes over, the host"),
    Rule("remote_shell", _CRITICAL, _COMMAND, "code from the network to be run, or a shell for somebody there"),
    Rule("data_upload", _HIGH, _COMMAND, "a command that sends files or credentials away"),
    Rule("argument_injection", _HIGH, _COMMAND, "an option that makes a program run another or read other files"),
    Rule("option_in_value", _MEDIUM, _COMMAND, "an option where a name or a path belongs"),
    Rule("container_escape", _CRITICAL, _ESCAPE, "a known way from a container to its host"),
    # Addresses.
    Rule("cloud_metadata", _CRITICAL, _URL, "the metadata service of a cloud"),
    Rule("internal_address", _HIGH, _URL, "an address that only the server's own network has"),
    Rule("internal_name", _MEDIUM, _URL, "a host that is named without a domain, or is given apart from a URL"),
    Rule("rebinding_name", _HIGH, _URL, "a public name for an internal address, or one that redirects anywhere"),
    Rule("disguised_url", _HIGH, _URL, "a URL that readers take for different hosts"),
    Rule("url_scheme", _HIGH, _URL, "a scheme that reaches files, sockets or code"),
    Rule("host_not_allowed", _HIGH, _URL, "a host that is not among `allowed_hosts`, where no other is allowed"),
    # What is evaluated or read by an interpreter.
    Rule("template_injection", _HIGH, _COMMAND, "an expression for a template engine"),
    Rule("jndi_lookup", _CRITICAL, _COMMAND, "a lookup of Log4j and its relatives"),
    Rule("unsafe_deserialization", _HIGH, _COMMAND, "a serialized object that runs code when it is read"),
    Rule("xml_entity", _HIGH, _COMMAND, "an external entity in XML"),
    Rule("code_injection", _HIGH, _COMMAND, "code where none belongs"),
    Rule("sql_injection", _HIGH, _COMMAND, "a value that breaks out of its SQL statement"),
    Rule("sql_takeover", _HIGH, _COMMAND, "SQL that reaches files, commands or time"),
    Rule("nosql_injection", _HIGH, _COMMAND, "an operator of a document database where a value belongs"),
    Rule("prototype_pollution", _HIGH, ("SAF-T1103", "MCP05"), "a member that changes every object of JavaScript"),
    # What could not be judged.
    Rule(
        "too_much_to_examine",
        _HIGH,
        ("SAF-T1106", "MCP08"),
        "more suspicious places, or longer ones, than are looked at; or more findings than are reported",
    ),
)

RULES: dict[str, Rule] = {rule.id: rule for rule in _ROWS}
"""Every rule, by id."""
