"""Trust: whether a component may run: pinned by its digest, signed by somebody who may, or let in unsigned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.guards.wasm.loading.sources.artifact import SourceError
from guardsvc.model import Globs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guardsvc.guards.wasm.loading.sources import Artifact, Place
    from guardsvc.guards.wasm.options import TrustSettings

__all__ = ["TrustError", "Trusted"]


class TrustError(SourceError):
    """A component may not run."""


class Trusted:
    """Who may sign the component of a place.

    Args:
        place: of the component.
        rules: of the service; those count whose globs match the place.
    """

    def __init__(self, place: Place, rules: Iterable[TrustSettings]) -> None:
        self._place = place
        self._rules = [(at, rule) for at, rule in enumerate(rules) if Globs(rule.modules).match(place.name)]
        self._required = any(rule.required for _, rule in self._rules)

    def asks(self, *, pinned: bool) -> bool:
        """Whether signatures have a say."""
        return bool(self._rules) and (self._required or not pinned)

    def accept(self, artifact: Artifact, *, pinned: bool, allow_unsigned: bool) -> str | None:
        """Who signed it: the id of a key, None where that was not asked for.

        Args:
            artifact: that is to run.
            pinned: whether the policy names its digest.
            allow_unsigned: whether the policy lets in what is neither pinned nor signed.

        Raises:
            TrustError: it may not run.
        """
        if self.asks(pinned=pinned):
            signer = self._signer(artifact)
            if signer is not None:
                return signer
            if self._required or not allow_unsigned:
                raise TrustError(self._why(artifact))
        elif not pinned and not allow_unsigned:
            raise TrustError(
                f"{self._place} is neither pinned nor signed: set digest {artifact.digest} if this is the component "
                "that was checked, name who may sign it in service.wasm.trust, or set allow_unsigned"
            )
        return None

    def _signer(self, artifact: Artifact) -> str | None:
        from guardsvc.guards.wasm.loading.signatures import Key, KeyFault, signed_by  # noqa: PLC0415  only where asked for

        keys = []
        for at, rule in self._rules:
            for number, text in enumerate(rule.keys):
                try:
                    keys.append(Key(text))
                except KeyFault as error:
                    raise TrustError(f"service.wasm.trust[{at}].keys[{number}]: {error}") from None
        signer = signed_by(artifact, keys)
        return None if signer is None else signer.id

    def _why(self, artifact: Artifact) -> str:
        if not artifact.evidence:
            return f"{self._place} has no signature, and service.wasm.trust asks for one"
        count = len(artifact.evidence)
        told = "its signature is" if count == 1 else f"its {count} signatures are"
        return f"{self._place}: {told} of no key that service.wasm.trust names for it"
