"""``guardsvc wasm push``: a component into an OCI layout or a registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.wasm.component import compiled
from guardsvc.cli.wasm.options import end
from guardsvc.guards.wasm.loading.sources import Place, SourceError
from guardsvc.guards.wasm.loading.sources.push import push

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guardsvc.cli.wasm.options import Asked

__all__ = ["run_push"]


def run_push(asked: Asked, to: str, annotations: Sequence[str], *, as_json: bool) -> None:
    """Push, and print by which digests a policy names it."""
    noted = {}
    for text in annotations:
        key, equals, value = text.partition("=")
        if not key or not equals:
            end(f'--annotation "{text}" is no KEY=VALUE', ExitCode.USAGE)
        noted[key] = value
    artifact = asked.read()
    shape = compiled(artifact).shape
    exports = sorted({function.interface for function in (*shape.functions.values(), *shape.settings.values())})
    imports = sorted({each.instance for each in shape.imports})
    place = Place.parse(to)
    try:
        pushed = push(artifact.content, place, asked.options, exports=exports, imports=imports, annotations=noted)
    except SourceError as error:
        end(str(error), ExitCode.UNAVAILABLE)
    named = f"{place.name}@{pushed.manifest}"
    if as_json:
        print(json.dumps({"module": named, "digest": pushed.digest, "manifest": pushed.manifest}))
        return
    print(f"module: {named}\ndigest: {pushed.digest}")
