"""``guardsvc bench``: what a decision costs, as ratios measured in one run."""

from guardsvc.cli.bench.run import run_bench

__all__ = ["run_bench"]
