"""What the metrics of one or several services know of guards with a candidate version."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families

from guardsvc.cli.ab.arms import ARMS, Arms, Guards

__all__ = ["read_metrics"]

WITHIN = 10.0
"""Seconds in which a service must have answered."""
MAX_BYTES = 64 * 1_048_576
CALLS = "guardsvc_wasm_variant_calls_total"
COMPARED = "guardsvc_wasm_variant_compared_total"
SHED = "guardsvc_wasm_variant_shed_total"
BUCKET = "guardsvc_wasm_variant_seconds_bucket"


def read_metrics(sources: list[str]) -> Guards:
    """The sum of what the metrics say.

    Args:
        sources: addresses, files, or ``-``.

    Raises:
        OSError: one cannot be read, or is no metrics.
    """
    guards: dict[str, Arms] = defaultdict(lambda: Arms(compared=Counter()))
    for source in sources:
        below: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
        try:
            for family in text_string_to_metric_families(_text(source)):
                for sample in family.samples:
                    _take(guards, below, sample.name, sample.labels, sample.value)
        except (ValueError, KeyError) as error:
            raise OSError(f"{source} is no metrics: {error}") from None
        for (guard, arm), bounds in below.items():
            before = 0.0
            for bound, count in sorted(bounds.items()):
                guards[guard].arms[arm].buckets[bound] += int(count - before)
                before = count
    return dict(guards)


def _take(
    guards: Guards,
    below: dict[tuple[str, str], dict[float, float]],
    name: str,
    labels: dict[str, str],
    value: float,
) -> None:
    if name == CALLS and labels["arm"] in ARMS:
        guards[labels["guard"]].arms[labels["arm"]].outcomes[labels["outcome"]] += int(value)
    elif name == COMPARED:
        compared = guards[labels["guard"]].compared
        if compared is not None:
            compared[labels["current"], labels["candidate"], labels["differs"] == "yes"] += int(value)
    elif name == SHED:
        guards[labels["guard"]].shed += int(value)
    elif name == BUCKET and labels["arm"] in ARMS:
        bounds = below[labels["guard"], labels["arm"]]
        bound = float(labels["le"])
        bounds[bound] = bounds.get(bound, 0) + value


def _text(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    if not source.startswith(("http://", "https://")):
        return Path(source).read_text(encoding="utf-8")
    try:
        with urlopen(Request(source, headers={"Accept": "text/plain"}), timeout=WITHIN) as answer:  # noqa: S310
            read: bytes = answer.read(MAX_BYTES)
    except URLError as error:
        raise OSError(f"{source} cannot be read: {error.reason}") from None
    return read.decode()
