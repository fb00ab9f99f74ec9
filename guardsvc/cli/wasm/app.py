"""The commands of ``guardsvc wasm``."""

from __future__ import annotations

from typing import Annotated

import typer

from guardsvc.cli.options import OutputOption, as_json

__all__ = ["wasm_app"]

wasm_app = typer.Typer(help="Components of WASM guards.", no_args_is_help=True, rich_markup_mode=None)

Module = Annotated[
    str, typer.Argument(metavar="MODULE", help="A file, a folder with one *.wasm, oci-layout:PATH or oci://HOST/REPO.")
]
ConfigFile = Annotated[
    str | None,
    typer.Option("--config", "-c", envvar="GUARDSVC_CONFIG", help="Configuration file, for its service.wasm."),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Ask a registry on this machine without TLS.")]
Keys = Annotated[
    list[str] | None, typer.Option("--key", "-k", help="File of a public key in PEM that may have signed it.")
]
SettingsText = Annotated[str, typer.Option("--settings", "-s", help="Settings of the component, a JSON object.")]


@wasm_app.command()
def inspect(
    module: Module,
    config: ConfigFile = None,
    key: Keys = None,
    insecure: Insecure = False,
    output: OutputOption = "human",
) -> None:
    """Show what a component is. That is what it judges, imports and needs, its settings, its digest, who signed it."""
    from guardsvc.cli.wasm.inspect import run_inspect
    from guardsvc.cli.wasm.options import Asked

    run_inspect(Asked.of(module, config, keys=key or (), insecure=insecure), as_json=as_json(output))


@wasm_app.command()
def verify(
    module: Module,
    config: ConfigFile = None,
    key: Keys = None,
    digest: Annotated[str | None, typer.Option(help="Digest that the component must have.")] = None,
    insecure: Insecure = False,
    output: OutputOption = "human",
) -> None:
    """Tell whether a component may run. It may by its digest, or by a signature of a key. Exit code 1 if not."""
    from guardsvc.cli.wasm.options import Asked
    from guardsvc.cli.wasm.verify import run_verify

    run_verify(Asked.of(module, config, keys=key or (), insecure=insecure), digest, as_json=as_json(output))


@wasm_app.command("test")
def suites(
    module: Module,
    places: Annotated[list[str], typer.Argument(metavar="DIR", help="Folders of suites, or suites.")],
    settings: SettingsText = "{}",
    grants: Annotated[str, typer.Option(help="What it may reach, a JSON object; kv where it asks for it.")] = "{}",
    config: ConfigFile = None,
    insecure: Insecure = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name the cases that pass too.")] = False,
    output: OutputOption = "human",
) -> None:
    """Run suites of policy tests. The policy has this component alone. Exit codes as of guardsvc test.

    What was compiled is kept for the next time, in service.wasm.cache.
    """
    from guardsvc.cli.wasm.options import Asked, object_of
    from guardsvc.cli.wasm.tried import run_suites

    asked = Asked.of(module, config, insecure=insecure)
    given, granted = object_of("--settings", settings), object_of("--grants", grants)
    run_suites(asked, given, granted, places, verbose=verbose, as_json=as_json(output))


@wasm_app.command()
def bench(
    module: Module,
    settings: SettingsText = "{}",
    rounds: Annotated[int, typer.Option(help="Times that everything is measured.", min=1, max=100)] = 3,
    config: ConfigFile = None,
    insecure: Insecure = False,
    output: OutputOption = "human",
) -> None:
    """Measure what a component costs. Compile, load, instantiate, lower, call and lift are told apart."""
    from guardsvc.cli.wasm.options import Asked, object_of
    from guardsvc.cli.wasm.tried import run_bench

    asked = Asked.of(module, config, insecure=insecure)
    run_bench(asked, object_of("--settings", settings), rounds=rounds, as_json=as_json(output))


@wasm_app.command()
def push(
    module: Module,
    place: Annotated[str, typer.Argument(metavar="PLACE", help="oci-layout:PATH:TAG or oci://HOST/REPO:TAG.")],
    annotation: Annotated[
        list[str] | None, typer.Option("--annotation", "-a", help="KEY=VALUE of the manifest; several times.")
    ] = None,
    config: ConfigFile = None,
    insecure: Insecure = False,
    output: OutputOption = "human",
) -> None:
    """Put a component into an OCI layout or a registry. It must be one that can be a guard."""
    from guardsvc.cli.wasm.options import Asked
    from guardsvc.cli.wasm.ship import run_push

    asked = Asked.of(module, config, insecure=insecure, others=(place,))
    run_push(asked, place, annotation or (), as_json=as_json(output))


@wasm_app.command()
def new(
    language: Annotated[str, typer.Argument(help="assemblyscript, c, cpp, go, javascript, python or rust.")],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to make; its name is the guard's.")],
) -> None:
    """Make the source of a guard that can be built and tested at once."""
    from guardsvc.cli.wasm.make import run_new

    run_new(language, folder)


@wasm_app.command()
def build(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder with build.sh.")] = ".",
    output: OutputOption = "human",
) -> None:
    """Build a guard by its build.sh, and show what came of it."""
    from guardsvc.cli.wasm.make import run_build

    run_build(folder, as_json=as_json(output))


@wasm_app.command()
def rollback(
    guard: Annotated[str, typer.Argument(help="Id of the guard.")],
    config: Annotated[str, typer.Option("--config", "-c", envvar="GUARDSVC_CONFIG", help="Configuration file.")],
    undo: Annotated[bool, typer.Option("--undo", help="Run again what is at the module's place.")] = False,
) -> None:
    """Go back to the component before. The guard runs it until another is put in the place of the present one."""
    from guardsvc.cli.wasm.rollback import run_rollback

    run_rollback(guard, config, undo=undo)
