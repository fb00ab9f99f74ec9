"""Suggestion: a policy that lets pass what was seen and allowed, and no more than that."""

from guardsvc.suggestion.evidence import Evidence, Seen
from guardsvc.suggestion.limits import MIN_HEADROOM
from guardsvc.suggestion.read import EvidenceError, read_evidence
from guardsvc.suggestion.write import Wishes, suggest

__all__ = ["MIN_HEADROOM", "Evidence", "EvidenceError", "Seen", "Wishes", "read_evidence", "suggest"]
