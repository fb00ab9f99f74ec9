"""Suites: what a guard or a policy must say of operations and requests, as YAML, and the running of them."""

from guardsvc.suites.coverage import Coverage
from guardsvc.suites.find import Found, find_suites
from guardsvc.suites.load import CONFIGURED, LoadedCase, Suite, load_suite
from guardsvc.suites.run import CaseResult, Run, SuiteResult, Wanted, run_suites

__all__ = [
    "CONFIGURED",
    "CaseResult",
    "Coverage",
    "Found",
    "LoadedCase",
    "Run",
    "Suite",
    "SuiteResult",
    "Wanted",
    "find_suites",
    "load_suite",
    "run_suites",
]
