"""Learn the weights of ``tool_poisoning``'s rule ``attack_wording``, and tell what they find in texts never seen.

Run it as ``GUARDSVC_CORPUS=… python -m benchmarks.wording [--write]`` with what ``requirements-wording.lock`` names.
The corpus is a folder with ``benign_tools.jsonl`` and ``malicious_tools.jsonl``. It takes half a minute and gives the
same weights every time.

The threshold is what a share of the real tools reach, each scored by a model that has seen no tool of its server.
"""  # noqa: INP001  a script

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.wording import samples
from benchmarks.wording.model import MOST, Model, learn
from guardsvc.guards.native.tool_poisoning import wording
from guardsvc.guards.native.tool_poisoning.wording import Weights, Wording, most, words_of

FOLDS = 10
SHARE = 0.005
"""Real tools of unknown servers that may be found."""
SURE = 0.0015
"""Real tools of unknown servers that may be found beyond doubt, if a rule finds something in them, too."""
SHARES = (0.001, SURE, 0.003, SHARE, 0.01)
LARGEST = 127
PASSING = 0.99
"""Texts above the threshold that must pass the looks which see less than all of it."""
TARGET = Path(wording.__file__).with_name("wording.json")


def main() -> None:
    """Learn, tell and maybe write."""
    corpus = Path(os.environ["GUARDSVC_CORPUS"])
    sets = samples.own()
    attacks = [sample for found, _ in sets for sample in found] + samples.published(corpus)
    harmless = [sample for _, found in sets for sample in found]
    real, servers = samples.real(corpus)
    _tell(f"{len(attacks)} attacks, {len(harmless)} harmless texts, {len(real)} tools of {len(set(servers))} servers")
    scores = _held_out_scores(attacks, harmless, real, servers)
    model = learn(attacks, harmless, real)
    for share in SHARES:
        _show(model, float(np.quantile(scores, 1 - share)), share)
    learned = _packed(model, np.quantile(scores, [1 - SHARE, 1 - SURE]), attacks)
    _tell(f"{len(learned.weights)} weights, {learned.threshold=}, {learned.sure=}")
    _tell(f"{learned.first_look=}, {learned.second_look=}")
    if "--write" in sys.argv[1:]:
        TARGET.write_bytes(msgspec.json.encode(learned) + b"\n")


def _held_out_scores(
    attacks: samples.Samples, harmless: samples.Samples, real: samples.Samples, servers: list[str]
) -> np.ndarray:
    """Scores of the real tools by models that know none of their server."""
    source = random.Random(0)  # noqa: S311  nothing secret
    known = sorted(set(servers))
    fold = {server: index % FOLDS for index, server in enumerate(source.sample(known, len(known)))}
    of = np.array([fold[server] for server in servers])
    scores = np.zeros(len(real))
    for each in range(FOLDS):
        model = learn(attacks, harmless, [real[index] for index in np.flatnonzero(of != each)])
        scores[of == each] = model.scores([real[index] for index in np.flatnonzero(of == each)])
    return scores


def _show(model: Model, threshold: float, share: float) -> None:
    for name, (attacks, harmless) in samples.held_out().items():
        found, wrongly = ((model.scores(each) >= threshold) for each in (attacks, harmless))
        _tell(
            f"at {share:.2%} of real tools, {name}: {found.sum()} of {len(found)} attacks ({found.mean():.0%}), "
            f"{wrongly.sum()} of {len(wrongly)} harmless ones ({wrongly.mean():.1%})"
        )


def _packed(model: Model, thresholds: np.ndarray, attacks: samples.Samples) -> Weights:
    """The weights in whole numbers."""
    threshold, sure = map(float, thresholds)
    scale = LARGEST / max(map(abs, model.weights.values()))
    rounded = {each: round(weight * scale) for each, weight in sorted(model.weights.items())}
    kept = {each: weight for each, weight in rounded.items() if weight}
    learned = Weights(
        hashes=b"".join(each.to_bytes(4, "little") for each in kept),
        weights=b"".join(weight.to_bytes(1, "little", signed=True) for weight in kept.values()),
        most=round(MOST * scale),
        threshold=round((threshold - model.intercept) * scale),
        sure=round((sure - model.intercept) * scale),
        first_look=0,
        second_look=0,
    )
    weigh = Wording(learned)
    found = [text for sample in attacks for text in sample if model.score([text]) >= threshold]
    blocks = [max(weigh.in_blocks(words_of(b" ".join(text)))) for text in found]
    alone = [most(weigh.of_words([words_of(sentence) for sentence in text])) for text in found]
    return msgspec.structs.replace(learned, first_look=_low(blocks), second_look=_low(alone))


def _low(sums: list[int]) -> int:
    """What nearly all sums reach."""
    return int(np.quantile(sums, 1 - PASSING))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
