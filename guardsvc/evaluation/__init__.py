"""Evaluation: how many attacks of a corpus a policy refuses, and how much that is harmless."""

from guardsvc.evaluation.corpus import FILES, Corpus, CorpusError, load_corpus
from guardsvc.evaluation.measure import Evaluation, evaluate
from guardsvc.evaluation.tally import Miss, Rate

__all__ = ["FILES", "Corpus", "CorpusError", "Evaluation", "Miss", "Rate", "evaluate", "load_corpus"]
