"""The commands that judge without a service: check, test, evaluate and policy suggest."""

from __future__ import annotations

from textwrap import indent
from typing import Annotated

import typer

from guardsvc.cli.options import ConfigOption, OutputOption, as_json

__all__ = ["offline", "policy_app"]

offline = typer.Typer()
policy_app = typer.Typer(help="Presets, and drafts made of traffic.", no_args_is_help=True, rich_markup_mode=None)
offline.add_typer(policy_app, name="policy")


@offline.command()
def check(
    file: Annotated[str, typer.Argument(help="File of JSON-RPC, JSON lines or HAR; - is standard input.")] = "-",
    config: ConfigOption = None,
    lines: Annotated[
        bool,
        typer.Option(
            "--lines", "-l", help="Each line is a message; told from the content without --lines, --har, --one."
        ),
    ] = False,
    har: Annotated[bool, typer.Option("--har", help="The file is HAR, whose requests of MCP are judged.")] = False,
    one: Annotated[bool, typer.Option("--one", help="The file is one message, whatever is in it.")] = False,
    server: Annotated[str | None, typer.Option(help="Id of the MCP server, as a gateway gives it.")] = None,
    host: Annotated[str, typer.Option(help="Host of the request.")] = "localhost",
    tenant: Annotated[str | None, typer.Option(help="Tenant of the caller.")] = None,
    principal: Annotated[str | None, typer.Option(help="Principal of the caller.")] = None,
    verified: Annotated[bool, typer.Option(help="Whether the gateway proved the identity.")] = False,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="Request header 'Name: value' in place of what a client would send."),
    ] = None,
    response_to: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="The messages are a server's answers to requests of this method."),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option("--tool", "--subject", help="With --response-to: the tool, prompt or resource URI asked for."),
    ] = None,
    output: OutputOption = "human",
) -> None:
    """Judge messages as if a client had posted them. A file has one, lines or HAR. Exit code 1 if any is refused."""
    from guardsvc.cli.check.run import CheckOptions, run_check

    if subject is not None and response_to is None:
        raise typer.BadParameter("--subject goes with --response-to; a request names its own")
    if lines + har + one > 1:
        raise typer.BadParameter("--lines, --har and --one exclude each other")
    if har and response_to is not None:
        raise typer.BadParameter("--har goes without --response-to; of HAR the requests are judged")
    options = CheckOptions(
        file=file,
        config=config,
        lines=lines,
        har=har,
        one=one,
        server=server,
        host=host,
        tenant=tenant,
        principal=principal,
        verified=verified,
        headers=tuple(header or ()),
        response_to=response_to,
        subject=subject,
    )
    run_check(options, as_json=as_json(output))


@offline.command("test")
def run_suites(
    places: Annotated[list[str], typer.Argument(metavar="DIR", help="Folders of suites, or suites.")],
    config: ConfigOption = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run", "-k", metavar="PATTERN", help="Only cases whose 'FILE: description' has this in it; may be a glob."
        ),
    ] = None,
    guard: Annotated[list[str] | None, typer.Option(help="Only suites of this guard.")] = None,
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write a report in JUnit's XML too.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name the cases that pass too.")] = False,
    output: OutputOption = "human",
) -> None:
    """Run suites of policy tests. Exit code 7 if an expectation fails, 8 if a suite is broken, 3 if a policy is."""
    from guardsvc.cli.test import SuiteOptions, run_test

    run_test(
        SuiteOptions(
            places=tuple(places),
            config=config,
            cases=tuple(run or ()),
            guards=tuple(guard or ()),
            junit=junit,
            verbose=verbose,
        ),
        as_json=as_json(output),
    )


@offline.command()
def evaluate(
    folder: Annotated[str, typer.Argument(metavar="DIR", envvar="GUARDSVC_CORPUS", help="Folder of the corpus.")],
    policy: Annotated[
        str | None, typer.Option("--policy", "-p", help="Configuration file; the built-in policy without one.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="Id of the MCP server of calls, as a gateway gives it.")] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="Only this file of the corpus, such as malicious_args.jsonl.")
    ] = None,
    show_misses: Annotated[
        bool, typer.Option("--show-misses", help="List what was missed or falsely flagged, and the rules that fired.")
    ] = False,
    output: OutputOption = "human",
) -> None:
    """Measure a policy by a corpus of attacks and harmless data. Told are recall and false positives by slices."""
    from guardsvc.cli.evaluate import EvaluateOptions, run_evaluate

    run_evaluate(
        EvaluateOptions(folder=folder, policy=policy, server=server, files=tuple(file or ()), show_misses=show_misses),
        as_json=as_json(output),
    )


@policy_app.callback()
def policy() -> None:
    """Policies: those that come with guardsvc, and drafts made of traffic."""


@policy_app.command("suggest")
def policy_suggest(
    files: Annotated[list[str], typer.Argument(help="Files of the audit, JSON lines or HAR; - is standard input.")],
    config: ConfigOption = None,
    glob_from: Annotated[
        int, typer.Option("--glob-from", min=0, help="Names with one beginning that a glob stands for; 0 for never.")
    ] = 8,
    headroom: Annotated[
        float, typer.Option(min=2, max=1000, help="Times the most that was seen of one key, as its limit.")
    ] = 2.0,
    preset: Annotated[str, typer.Option(help="Preset to build on: default, strict, observe, or none.")] = "default",
) -> None:
    """Print a policy that allows what was seen and allowed. Its limits are above what was asked at most."""
    from guardsvc.cli.suggest import SuggestOptions, run_suggest

    run_suggest(
        SuggestOptions(files=tuple(files), config=config, glob_from=glob_from, headroom=headroom, preset=preset)
    )


@policy_app.command("preset")
def policy_preset(name: Annotated[str, typer.Argument(help="default, strict or observe.")]) -> None:
    """Print a preset. It is the policy section of a configuration file."""
    from guardsvc.policy.presets import PRESETS, preset_text

    known = [preset for preset in PRESETS if preset == name]
    if not known:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(PRESETS)}")
    print("policy:\n" + indent(preset_text(known[0]), "  "), end="")
