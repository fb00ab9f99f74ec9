"""Engine: runs the guards of a policy over an operation and concludes one decision."""

from guardsvc.engine.chain import decide, refuse
from guardsvc.engine.facts import FactSource, FactSources
from guardsvc.engine.failure import FAILURE_CODES, fail_matrix

__all__ = ["FAILURE_CODES", "FactSource", "FactSources", "decide", "fail_matrix", "refuse"]
