"""Run: files of captured operations under another policy, and what is printed of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.cli.capture.files import KeyRing, captured_in
from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.plain import plain
from guardsvc.cli.replay.again import Judge
from guardsvc.cli.replay.flips import Became, Flip, Tally, compared
from guardsvc.observe.capture import CapturedGap, SealedOperation
from guardsvc.server.configuration import load_configuration
from guardsvc.state import Sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardsvc.policy import Policy

__all__ = ["run_replay"]

TITLES = {
    Became.DENY_TO_ALLOW: "DENY -> ALLOW",
    Became.MAYBE_DENY_TO_ALLOW: "DENY -> ALLOW?  (names alone no longer refuse it, the payload was not captured)",
    Became.ALLOW_TO_DENY: "ALLOW -> DENY",
    Became.MODIFY: "MODIFY",
}
_ORDER = tuple(Became)


def run_replay(
    files: Sequence[str],
    policy_file: str,
    keys: Sequence[str],
    config: str | None,
    *,
    verdicts: bool,
    most: int,
    as_json: bool,
) -> None:
    """Judge everything again and print the flips; code 1 if there are any, 7 if nothing could be judged."""
    policy = load_configuration(Path(policy_file)).policy
    ring = KeyRing(keys, config)
    tally = Tally()
    flips = asyncio.run(_flips(files, policy, ring, tally, verdicts=verdicts))
    flips.sort(key=lambda flip: (_ORDER.index(flip.became), flip.time))
    if as_json:
        print(json.dumps({"policy": policy.hash, **msgspec.to_builtins(tally), "flips": _plain_data(flips)}))
    else:
        for line in _told(policy, flips, tally, most):
            print(line)
    if flips:
        sys.exit(ExitCode.REFUSED)
    if not tally.judged:
        sys.exit(ExitCode.FAILED)


async def _flips(files: Sequence[str], policy: Policy, ring: KeyRing, tally: Tally, *, verdicts: bool) -> list[Flip]:
    flips: list[Flip] = []
    async with Sources() as sources:
        judge = Judge(policy, sources, ring.by_id.values())
        for line in captured_in(files, ring):
            if isinstance(line, CapturedGap):
                tally.lost += line.lost
            elif isinstance(line, SealedOperation):
                tally.sealed += 1
            else:
                flip = compared(line, await judge.judge(line), tally, verdicts=verdicts)
                if flip is not None:
                    flips.append(flip)
    return flips


def _plain_data(flips: list[Flip]) -> list[Any]:
    data: list[Any] = msgspec.to_builtins(flips)
    return data


def _told(policy: Policy, flips: list[Flip], tally: Tally, most: int) -> Iterator[str]:
    for became in _ORDER:
        groups = Counter(_group(flip) for flip in flips if flip.became is became)
        if not groups:
            continue
        yield f"{TITLES[became]}: {groups.total()}"
        first = {group: flip.decision_id for flip in reversed(flips) if (group := _group(flip)) in groups}
        for group, count in groups.most_common(most):
            about, was, now, notes = group
            yield f"  {count:5}  {plain(about)}"
            yield f"         was {plain(was)}"
            yield f"         now {plain(now)}"
            for note in notes:
                yield f"         note: {plain(note)}"
            yield f"         such as decision {plain(first[group])}"
        if len(groups) > most:
            yield f"  and {len(groups) - most} more kinds; --limit shows more, --output json all"
    yield (
        f"{tally.judged} judged again by policy {policy.settings.name} ({policy.hash}): {tally.same} as before"
        f"{f', {tally.other_reason} of them refused for another reason' if tally.other_reason else ''}, "
        f"{len(flips)} flips"
    )
    for why, count in sorted(tally.unjudged.items(), key=lambda item: -item[1]):
        yield f"{count} not judged again: {plain(why)}"
    if tally.sealed:
        yield f"{tally.sealed} not judged again: sealed with a key that is not at hand (--key)"
    if tally.lost:
        yield f"{tally.lost} were never written: the capture's queue was full or its file could not be written"


def _group(flip: Flip) -> tuple[str, str, str, tuple[str, ...]]:
    about = " ".join(filter(None, (flip.server, flip.direction, flip.method, flip.subject)))
    was = _side(flip.was, flip.was_reason, flip.was_guard, flip.was_rules)
    return about, was, _side(flip.now, flip.now_reason, flip.now_guard, flip.now_rules), flip.notes


def _side(applied: str, reason: str | None, guard: str | None, rules: tuple[str, ...]) -> str:
    why = f" ({reason})" if reason else ""
    by = f" by {guard}" if guard else ""
    found = f": {', '.join(rules)}" if rules else ""
    return f"{applied}{why}{by}{found}"
