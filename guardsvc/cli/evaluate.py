"""``guardsvc evaluate``: what a policy catches of a corpus of attacks, and what it flags of harmless data."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.plain import plain
from guardsvc.evaluation import Corpus, CorpusError, Evaluation, evaluate, load_corpus
from guardsvc.evaluation.court import Court
from guardsvc.evaluation.tally import REVIEW
from guardsvc.server.configuration import load_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.evaluation import Miss, Rate

__all__ = ["EvaluateOptions", "run_evaluate"]

EVERY = 0.2
"""Seconds between two signs of progress."""


@dataclass(frozen=True)
class EvaluateOptions:
    """What the command line says; see ``guardsvc evaluate --help``."""

    folder: str
    policy: str | None
    server: str | None
    files: tuple[str, ...]
    show_misses: bool


def run_evaluate(options: EvaluateOptions, *, as_json: bool) -> None:
    """Judge the corpus and print the rates of its slices."""
    policy = load_configuration(None if options.policy is None else Path(options.policy)).policy
    try:
        corpus = _wanted(load_corpus(Path(options.folder)), options.files)
    except CorpusError as error:
        _wrong(str(error))
    with Court(policy, options.server) as court:
        if (code := court.refuses_everything("get_status")) is not None:
            hint = "; see --server" if code == "unknown_server" else ""
            _wrong(f"the policy refuses an ordinary call ({code}), so that rates would say nothing{hint}")
        progress = _Progress()
        evaluation = evaluate(corpus, court, progress)
        progress.end()
    _tell_notes(corpus, evaluation, court)
    if as_json:
        for rate in evaluation.rates:
            print(json.dumps(_described(rate)))
        for miss in evaluation.misses if options.show_misses else ():
            print(json.dumps(asdict(miss), ensure_ascii=False))
        return
    print(f"policy {policy.settings.name} ({policy.hash}); rates in per cent; noticed: by any finding, refused or not")
    for line in _table(evaluation.rates):
        print(line)
    for miss in evaluation.misses if options.show_misses else ():
        print(_miss(miss))


def _wanted(corpus: Corpus, files: tuple[str, ...]) -> Corpus:
    names = {file if file.endswith(".jsonl") else f"{file}.jsonl" for file in files}
    if missing := sorted(names - corpus.files.keys()):
        raise CorpusError(f"there is no {', '.join(missing)}; there are {', '.join(corpus.files)}")
    return Corpus(corpus.files, corpus.unread, frozenset(names) or None)


class _Progress:
    """Says on a terminal, and only there, how far it is."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()
        self._told = 0.0

    def __call__(self, file: str, done: int, rows: int) -> None:
        """Say it, if there is somebody to read it and it is time."""
        if self._shows and perf_counter() - self._told > EVERY:
            self._told = perf_counter()
            print(f"\r\x1b[K{file} {done} of {rows}\r", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave nothing behind."""
        if self._shows:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _tell_notes(corpus: Corpus, evaluation: Evaluation, court: Court) -> None:
    for file, reason in evaluation.not_judged.items():
        print(f"{file}: not judged: {reason}", file=sys.stderr)
    for file, remark in evaluation.remarks.items():
        print(f"{file}: {remark}", file=sys.stderr)
    for file, count in evaluation.empty.items():
        print(f"{file}: {count} rows have nothing that could be judged", file=sys.stderr)
    for file, lines in corpus.unread.items():
        print(f"{file}: {len(lines)} lines are no JSON object, the first is line {lines[0]}", file=sys.stderr)
    for text, count in sorted(court.failures.items()):
        print(f"{count} times: {plain(text)}", file=sys.stderr)


def _described(rate: Rate) -> dict[str, str | float]:
    plain_rate = asdict(rate)
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in plain_rate.items()}


def _table(rates: list[Rate]) -> Iterator[str]:
    reviews = {(rate.file, rate.slice.removesuffix(REVIEW)): rate for rate in rates if rate.slice.endswith(REVIEW)}
    width = max((len(plain(rate.slice)) for rate in rates if not rate.slice.endswith(REVIEW)), default=0)
    file = ""
    for rate in rates:
        if rate.slice.endswith(REVIEW):
            continue
        if rate.file != file:
            file = rate.file
            yield ""
            head = f"{'n':>6}  {'refused':>7} {'rate':>8}  {'95 % interval':18} {'noticed':>7} {'rate':>8}"
            yield f"{file:{width + 2}} {head}"
        review = reviews[rate.file, rate.slice]
        interval = f"{_percent(rate.low)} to {_percent(rate.high)}"
        yield (
            f"  {plain(rate.slice):{width}} {rate.n:6}  {rate.flagged:7} {_percent(rate.rate):>8}  {interval:18} "
            f"{review.flagged:7} {_percent(review.rate):>8}"
        )


def _percent(share: float) -> str:
    return f"{share * 100:.2f}"


def _miss(miss: Miss) -> str:
    rules = f"  [{', '.join(miss.rules)}]" if miss.rules else ""
    return f"{miss.file}:{miss.line}: {miss.wrong}: {plain(miss.what)}{plain(rules)}"


def _wrong(message: str) -> NoReturn:
    print(f"guardsvc: {message}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)
