"""Audit: one record per decision, digests under a key, in a chain that shows what was changed or taken away."""

from guardsvc.observe.audit.audit import Audit, AuditError, AuditOptions
from guardsvc.observe.audit.keys import KEY_ID, MIN_KEY, AuditKey

__all__ = ["KEY_ID", "MIN_KEY", "Audit", "AuditError", "AuditKey", "AuditOptions"]
