"""Observe: metrics and logs of decisions, after the answer is built."""

from guardsvc.observe.joint import JointMetrics, forget_worker, join_metrics
from guardsvc.observe.logs import configure_logging, set_level, shows_debug
from guardsvc.observe.metrics import Metrics
from guardsvc.observe.recorder import Recorder
from guardsvc.observe.shedding import Shedding

__all__ = [
    "JointMetrics",
    "Metrics",
    "Recorder",
    "Shedding",
    "configure_logging",
    "forget_worker",
    "join_metrics",
    "set_level",
    "shows_debug",
]
