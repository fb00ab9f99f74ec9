"""``guardsvc bench``: what a decision costs, as ratios measured in one run; what hostile messages cost at most."""

from guardsvc.cli.bench.hostile import run_hostile
from guardsvc.cli.bench.run import run_bench

__all__ = ["run_bench", "run_hostile"]
