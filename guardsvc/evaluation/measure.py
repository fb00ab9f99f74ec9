"""Measure: every file of a corpus judged by a policy, as whole operations, and counted by slices."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guardsvc.evaluation.placement import LINE_FIELDS, Places
from guardsvc.evaluation.tally import Miss, Rate, Tally
from guardsvc.evaluation.toolbox import BUILT_IN, definition, tools_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from guardsvc.evaluation.changes import Changed
    from guardsvc.evaluation.corpus import Corpus, Row
    from guardsvc.evaluation.court import Court, Flag

__all__ = ["Evaluation", "evaluate"]

FEW = 20
"""Rows of a kind below which it is pooled with the others of that size."""
SIBLINGS = 4
"""Harmless tools beside an attack in its list."""
MAX_PLACES = 8
"""Fields in which a payload is tried for the slice of every place."""
MAX_SHOWN = 100
NOT_LEARNING = (
    "the policy has no guard that remembers what servers listed, so that a change is judged as if it were new; "
    "slices with rug_pull say what {type: rug_pull} in its guards would add"
)
"""Said where changes are judged by a policy that cannot see them."""


@dataclass
class Evaluation:
    """What came of a corpus.

    Attributes:
        rates: of every slice, by file.
        misses: rows judged wrongly.
        not_judged: files, with the reason.
        empty: how many rows of a file lack what would be judged.
        remarks: what is to be known of the rates of a file.
    """

    rates: list[Rate] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    not_judged: dict[str, str] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)


def evaluate(corpus: Corpus, court: Court, progress: Callable[[str, int, int], None]) -> Evaluation:
    """Judge everything that the policy has guards for.

    Args:
        corpus: what to judge.
        court: judges by the policy.
        progress: told of file, rows done and rows in all.
    """
    measures: dict[str, Callable[[_Run], None]] = {
        "malicious_tools.jsonl": _attacking_tools,
        "overt_malicious_tools.jsonl": _attacking_tools,
        "ambiguous_tools.jsonl": _attacking_tools,
        "benign_tools.jsonl": _benign_tools,
        "malicious_args.jsonl": _malicious_args,
        "benign_args.jsonl": _benign_args,
        "malicious_results.jsonl": _malicious_results,
        "benign_results.jsonl": _benign_results,
        "definition_changes.jsonl": _definition_changes,
    }
    evaluation = Evaluation()
    for file, rows in corpus.files.items():
        if corpus.wanted is not None and file not in corpus.wanted:
            continue
        run = _Run(file, rows, corpus, court, evaluation, progress)
        if file in measures:
            measures[file](run)
        else:
            evaluation.not_judged[file] = "nothing is known of how such a file is judged"
        evaluation.rates.extend(run.tally.rates())
    return evaluation


class _Run:
    """One file under way."""

    def __init__(
        self,
        file: str,
        rows: Sequence[Row],
        corpus: Corpus,
        court: Court,
        evaluation: Evaluation,
        progress: Callable[[str, int, int], None],
    ) -> None:
        self.file = file
        self.rows = rows
        self.corpus = corpus
        self.court = court
        self.evaluation = evaluation
        self.tally = Tally(file)
        self._progress = progress

    def each(self) -> Iterator[tuple[int, Row]]:
        """Every row with its index."""
        for index, row in enumerate(self.rows):
            self.progress(index)
            yield index, row

    def pass_over(self) -> None:
        """Take note of a row that lacks what would be judged."""
        self.evaluation.empty[self.file] = self.evaluation.empty.get(self.file, 0) + 1

    def progress(self, done: int) -> None:
        """Tell how far it is."""
        self._progress(self.file, done, len(self.rows))

    def judged(self, method: str) -> bool:
        """Whether the policy has guards for answers to a method, else a note that it has none."""
        if self.court.judges(method):
            return True
        self.evaluation.not_judged[self.file] = f"the policy has no guard for answers to {method}"
        return False

    def count(self, row: Row, slices: Iterable[str], flag: Flag, what: str, *, hostile: bool | None) -> None:
        """Count a row, and keep it where it is judged wrongly; ``hostile`` is None where neither would be wrong."""
        self.tally.count(slices, flag)
        if hostile is None or (flag.denied if hostile else not flag.reviewed):
            return
        wrong = "missed" if hostile else "refused" if flag.denied else "noticed"
        self.evaluation.misses.append(Miss(self.file, row.line, wrong, _shown(what), flag.rules))


def _attacking_tools(run: _Run) -> None:
    if not run.judged("tools/list"):
        return
    hostile = None if run.file.startswith("ambiguous") else True
    servers = list(_servers(run.corpus.rows("benign_tools.jsonl")).values())
    built_in = [{"name": tool.name, "inputSchema": tool.schema} for tool in BUILT_IN]
    for index, row in run.each():
        attack = definition(row)
        others = [definition(other) for _, other in servers[index % len(servers)]] if servers else built_in
        siblings = [tool for tool in others if tool["name"] != attack["name"]][:SIBLINGS]
        place = len(siblings) // 2
        listed = [*siblings[:place], attack, *siblings[place:]]
        (flag,) = run.court.tools(listed, row.text("server") or "server", [place])
        slices = ["all", *_labelled(row, "level", "attack", "source")]
        run.count(row, slices, flag, f"{row.text('name')}: {row.text('description')}", hostile=hostile)


def _benign_tools(run: _Run) -> None:
    if not run.judged("tools/list"):
        return
    flags: dict[int, Flag] = {}
    servers: list[tuple[str, list[Flag]]] = []
    done = 0
    for (source, _, server), tools in _servers(run.rows).items():
        run.progress(done)
        done += len(tools)
        found = run.court.tools([definition(row) for _, row in tools], server or source)
        flags |= {index: flag for (index, _), flag in zip(tools, found, strict=True)}
        servers.append((tools[0][1].text("tier") or "unknown", found))
    for index, row in enumerate(run.rows):
        slices = ["all", *_labelled(row, "tier"), *(["hard"] if row.hard else ["not hard"]), *_labelled(row, "source")]
        what = f"{row.text('server')}/{row.text('name')}: {row.text('description')}"
        run.count(row, slices, flags[index], what, hostile=False)
    for tier, found in servers:
        run.tally.count(("servers", f"servers, tier:{tier}"), _any(found))


def _malicious_args(run: _Run) -> None:
    places = Places(tools_of(run.corpus.rows("benign_tools.jsonl")))
    kinds = Counter(row.text("kind") for row in run.rows)
    for index, row in run.each():
        if not row.text("value") and not isinstance(row.data.get("arguments"), dict):
            run.pass_over()
            continue
        kind = row.text("kind") or "unknown"
        pooled = [f"kinds of fewer than {FEW} rows"] if kinds[row.text("kind")] < FEW else []
        slices = ["all", f"kind:{kind}", *pooled, *_labelled(row, "source")]
        first, *others = places.of(row, index)[:MAX_PLACES]
        flag = run.court.call(first.tool, first.arguments)
        run.count(row, slices, flag, f"{kind} in {first.where}: {row.text('value')}", hostile=True)
        for place in (first, *others):
            flag = run.court.call(place.tool, place.arguments)
            run.tally.count(("every place", f"every place, kind:{kind}"), flag)


def _benign_args(run: _Run) -> None:
    for _, row in run.each():
        arguments = row.data.get("arguments")
        tool = row.text("tool") or "tool"
        if not isinstance(arguments, dict):
            run.pass_over()
            continue
        flag = run.court.call(tool, arguments)
        what = f"{tool} {json.dumps(arguments, ensure_ascii=False)}"
        run.count(row, ["all", *_labelled(row, "source")], flag, what, hostile=False)


def _definition_changes(run: _Run) -> None:
    if not run.court.learns:
        run.evaluation.remarks[run.file] = NOT_LEARNING
    for _, row in run.each():
        before, after = row.data.get("before"), row.data.get("after")
        if not isinstance(before, dict) or not isinstance(after, dict):
            run.pass_over()
            continue
        changed = run.court.change(before, after)
        hostile = row.text("label") != "benign"
        group = "rug pulls" if hostile else "benign changes"
        if not run.court.learns:
            added = run.court.change_remembered(before, after)
            run.tally.count((f"{group}, with rug_pull",), _of_change(added, hostile=hostile))
        run.tally.count((f"{group}, in the list",), changed.listed)
        run.tally.count((f"{group}, at the call",), changed.called)
        if not changed.trusted:
            run.tally.count((f"{group}, not trusted before",), changed.listed)
        both = _of_change(changed, hostile=hostile)
        members = [f"{group}, {member}" for member in row.data.get("changed") or () if isinstance(member, str)]
        slices = [group, *members, f"{group}, source:{row.source}"]
        run.count(row, slices, both, f"{row.text('name')}: {_told(before, after)}", hostile=hostile)


def _of_change(changed: Changed, *, hostile: bool) -> Flag:
    """A rug pull is to be refused in the list and at the call; a benign change at neither."""
    found = changed.listed, changed.called
    return _all(found) if hostile else _any(found)


def _told(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The members that differ, and the description that the new definition has."""
    differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    description = after.get("description")
    return f"[{', '.join(differing)}] {description if isinstance(description, str) else ''}"


def _malicious_results(run: _Run) -> None:
    if not run.judged("tools/call"):
        return
    for _, row in run.each():
        flag = run.court.result(row.text("tool") or "tool", row.text("text"))
        weak = "weak" if row.data.get("weak") is True else "strong"
        family = row.text("attack").partition("/")[0] or "unknown"
        slices = ["all", weak, f"attack:{family}", *_labelled(row, "source")]
        run.count(row, slices, flag, row.text("text"), hostile=True)


def _benign_results(run: _Run) -> None:
    if run.judged("tools/call"):
        for _, row in run.each():
            flag = run.court.result(row.text("tool") or "tool", row.text("text"))
            slices = ["all", "hard" if row.hard else "not hard", *_labelled(row, "source")]
            run.count(row, slices, flag, row.text("text"), hostile=False)
    else:
        run.evaluation.not_judged[run.file] += "; its lines are, as arguments of calls"
    _lines(run)


def _lines(run: _Run) -> None:
    """Lines of harmless texts, each once, as arguments of calls."""
    places = Places(tools_of(run.corpus.rows("benign_tools.jsonl")))
    seen: set[str] = set()
    for _, row in run.each():
        group = "hard lines" if row.hard else "lines"
        for line in filter(None, map(str.strip, row.text("text").splitlines())):
            if line in seen:
                continue
            seen.add(line)
            flags = []
            for name in LINE_FIELDS:
                place = places.lines(name, line, len(seen))
                flag = run.court.call(place.tool, place.arguments)
                flags.append(flag)
                run.count(row, (group, f"{group} in {name}"), flag, f"{place.where}: {line}", hostile=False)
            run.tally.count((f"{group} in any field",), _any(flags))


def _servers(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[tuple[int, Row]]]:
    """Rows with their index by source, tier and server."""
    servers: dict[tuple[str, str, str], list[tuple[int, Row]]] = {}
    for index, row in enumerate(rows):
        servers.setdefault((row.source, row.text("tier"), row.text("server")), []).append((index, row))
    return servers


def _labelled(row: Row, *members: str) -> list[str]:
    return [f"{member}:{label}" for member in members if (label := row.text(member))]


def _any(flags: Sequence[Flag]) -> Any:
    first = flags[0]
    return first._replace(
        denied=any(flag.denied for flag in flags), reviewed=any(flag.reviewed for flag in flags), rules=()
    )


def _all(flags: Sequence[Flag]) -> Flag:
    rules = dict.fromkeys(rule for flag in flags for rule in flag.rules)
    denied, reviewed = all(flag.denied for flag in flags), all(flag.reviewed for flag in flags)
    return flags[0]._replace(denied=denied, reviewed=reviewed, rules=tuple(rules))


def _shown(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= MAX_SHOWN else f"{one_line[: MAX_SHOWN - 1]}…"
