"""``guardsvc wasm verify``: whether a policy could load a component, by what it is and who signed it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.cli.wasm.options import end
from guardsvc.guards.wasm.loading.sources import SourceError
from guardsvc.guards.wasm.loading.trust import Trusted

if TYPE_CHECKING:
    from guardsvc.cli.wasm.options import Asked

__all__ = ["run_verify"]


def run_verify(asked: Asked, digest: str | None, *, as_json: bool) -> None:
    """Print why it may run, or why not, which ends with code 1."""
    artifact = asked.read()
    pinned = digest is not None or asked.place.digest is not None
    signer, why = None, None
    if digest not in (None, artifact.digest):
        why = f"{asked.place} has the digest {artifact.digest}"
    else:
        try:
            trusted = Trusted(asked.place, asked.options.trust)
            signer = trusted.accept(artifact, pinned=pinned, allow_unsigned=False)
        except SourceError as error:
            why = str(error)
    if as_json:
        report = {"accepted": why is None, "digest": artifact.digest, "manifest": artifact.manifest}
        print(json.dumps(report | {"pinned": pinned, "signed_by": signer, "problem": why}))
    elif why is not None:
        end(why, ExitCode.REFUSED)
    else:
        print(f"{artifact.digest}: " + (f"signed by {signer}" if signer else "pinned by its digest"))
    if why is not None:
        sys.exit(ExitCode.REFUSED)
