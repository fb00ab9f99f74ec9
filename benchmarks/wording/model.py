"""Learning: weights that tell sentences of attacks from harmless ones."""  # noqa: INP001  a script

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import numpy as np
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression

from benchmarks.wording.samples import Sample, Samples
from guardsvc.guards.native.tool_poisoning.wording import features_of, of_pairs, of_word, words_of

__all__ = ["MOST", "Model", "learn"]

FEATURES = 8_000
"""Weights that are kept, the largest."""
MIN_TEXTS = 3
"""Sentences that a feature is in at least."""
FREEDOM = 0.1
"""The inverse of the strength of regularisation."""
MOST = 1.0
"""What one word weighs at most, for or against: no single one is to tell an attack."""
OF_ATTACK, OF_HARMLESS, OF_REAL = 3.0, 2.0, 1.0
"""What a sample of each kind counts."""
ROUNDS = 2


class Model(msgspec.Struct, frozen=True):
    """What was learned.

    Attributes:
        weights: by the hash of the feature.
        intercept: of the whole.
    """

    weights: dict[int, float]
    intercept: float

    def score(self, sample: Sample) -> float:
        """How much the worst one or two sentences of a definition are worded like an attack."""
        best = -np.inf
        for text in sample:
            scores = [self._of_sentence(sentence) for sentence in text]
            best = max(best, *scores, *(one + other for one, other in pairwise(scores)))
        return float(best) + self.intercept

    def _of_sentence(self, sentence: bytes) -> float:
        words = words_of(sentence)
        total = self._sum(of_pairs(words))
        for word in {*words}:
            total += max(-MOST, min(MOST, self._sum(of_word(word))))
        return total

    def _sum(self, features: Iterable[int]) -> float:
        return sum(self.weights.get(each, 0.0) for each in features)

    def scores(self, samples: Samples) -> np.ndarray:
        """The same of some definitions."""
        return np.array([self.score(sample) for sample in samples])


class _Runs:
    """Samples as the features of runs of sentences, one or two that follow each other in a text.

    Args:
        samples: the definitions.
        column: of each feature.
    """

    def __init__(self, samples: Samples, column: dict[int, int]) -> None:
        pointers, columns, counts = [0], [], []
        self._runs: list[list[tuple[int, int]]] = []
        self._parts: list[tuple[int, int]] = []
        row = 0
        for sample in samples:
            runs: list[tuple[int, int]] = []
            for text in sample:
                for sentence in text:
                    found = Counter(column[each] for each in features_of(sentence) if each in column)
                    columns += found.keys()
                    counts += found.values()
                    pointers.append(len(columns))
                rows = range(row, row + len(text))
                runs += [(at, at + length) for at in rows for length in (1, 2) if at + length <= rows.stop]
                starts = [*range(row, rows.stop - 2, 2), max(row, rows.stop - 2)]
                self._parts += [(at, min(at + 2, rows.stop)) for at in starts]
                row = rows.stop
            self._runs.append(runs)
        shape = (row, len(column))
        self._sentences = csr_matrix((np.array(counts, float), columns, pointers), shape=shape)

    def all(self) -> csr_matrix:
        """Pairs of sentences of all texts, every text covered."""
        return self._joined(self._parts)

    def worst(self, weights: np.ndarray) -> csr_matrix:
        """Of each sample the run that weighs most."""
        total = np.concatenate(([0.0], np.cumsum(self._sentences @ weights)))
        return self._joined([max(runs, key=lambda run: total[run[1]] - total[run[0]]) for runs in self._runs])

    def _joined(self, runs: Sequence[tuple[int, int]]) -> csr_matrix:
        rows = [row for first, end in runs for row in range(first, end)]
        pointers = np.concatenate(([0], np.cumsum([end - first for first, end in runs])))
        return csr_matrix((np.ones(len(rows)), rows, pointers), shape=(len(runs), self._sentences.shape[0])) @ (
            self._sentences
        )


def learn(attacks: Samples, harmless: Samples, real: Samples) -> Model:
    """Weights that tell attacks from the others.

    Not every sentence of an attack attacks: after a first round with all of them, only the one or two of each that
    look worst are taken for one.
    """
    column = {each: index for index, each in enumerate(_frequent((*attacks, *harmless, *real)))}
    runs = _Runs(attacks, column)
    others = [_Runs(harmless, column).all(), _Runs(real, column).all()]
    positive = runs.all()
    for _ in range(ROUNDS):
        rows = [positive.shape[0], *(each.shape[0] for each in others)]
        classifier = LogisticRegression(C=FREEDOM, max_iter=300, solver="liblinear", random_state=0)
        classifier.fit(
            vstack([positive, *others]),
            np.repeat([1, 0, 0], rows),
            sample_weight=np.repeat([OF_ATTACK, OF_HARMLESS, OF_REAL], rows),
        )
        weights = classifier.coef_[0]
        positive = runs.worst(weights)
    kept = np.argsort(-np.abs(weights), kind="stable")[:FEATURES]
    hashes = list(column)
    return Model({hashes[index]: float(weights[index]) for index in kept}, float(classifier.intercept_[0]))


def _frequent(samples: Iterable[Sample]) -> list[int]:
    counts: Counter[int] = Counter()
    for sample in samples:
        for text in sample:
            for sentence in text:
                counts.update(set(features_of(sentence)))
    return sorted(feature for feature, count in counts.items() if count >= MIN_TEXTS)
