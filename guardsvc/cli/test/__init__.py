"""``guardsvc test``: policies and guards held against suites of cases."""

from guardsvc.cli.test.run import SuiteOptions, run_test

__all__ = ["SuiteOptions", "run_test"]
