"""The vocabulary of guardsvc and the API of third-party guards: plain data, no behaviour of its own.

Everything else imports this package; it imports nothing of guardsvc.
"""

from guardsvc.model.decision import Decision, GuardOutcome
from guardsvc.model.facts import FactNeeds, FactRequest, Facts, FactSource, FactUse, Learns
from guardsvc.model.globs import Globs
from guardsvc.model.guard import (
    ErrorKind,
    FailureMode,
    FileState,
    Guard,
    GuardContext,
    GuardFailure,
    GuardType,
    Loaded,
    Mode,
    Rechecks,
    Reconsiders,
    RuleAction,
    ServerNames,
    Settings,
    SettingsError,
    Tier,
    file_state,
    give_up_at,
)
from guardsvc.model.headers import Headers
from guardsvc.model.operation import Caller, GatewayProtocol, Kind, Operation, RequestId
from guardsvc.model.phase import PHASES, REQUEST_PHASES, RESPONSE_PHASES, Direction, Phase
from guardsvc.model.reasons import REASONS, Reason, reason_for
from guardsvc.model.subject import SubjectKind, subject_kind
from guardsvc.model.verdict import ALLOW, Allow, Deny, Finding, Modify, Pending, Severity, Verdict
from guardsvc.model.word import Word

__all__ = [
    "ALLOW",
    "PHASES",
    "REASONS",
    "REQUEST_PHASES",
    "RESPONSE_PHASES",
    "Allow",
    "Caller",
    "Decision",
    "Deny",
    "Direction",
    "ErrorKind",
    "FactNeeds",
    "FactRequest",
    "FactSource",
    "FactUse",
    "Facts",
    "FailureMode",
    "FileState",
    "Finding",
    "GatewayProtocol",
    "Globs",
    "Guard",
    "GuardContext",
    "GuardFailure",
    "GuardOutcome",
    "GuardType",
    "Headers",
    "Kind",
    "Learns",
    "Loaded",
    "Mode",
    "Modify",
    "Operation",
    "Pending",
    "Phase",
    "Reason",
    "Rechecks",
    "Reconsiders",
    "RequestId",
    "RuleAction",
    "ServerNames",
    "Settings",
    "SettingsError",
    "Severity",
    "SubjectKind",
    "Tier",
    "Verdict",
    "Word",
    "file_state",
    "give_up_at",
    "reason_for",
    "subject_kind",
]
