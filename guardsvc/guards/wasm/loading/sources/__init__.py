"""Sources: where components come from (files, folders, OCI layouts and registries), each read once."""

from guardsvc.guards.wasm.loading.sources.artifact import MAX_BYTES, Artifact, Evidence, SourceError, digest_of
from guardsvc.guards.wasm.loading.sources.place import Place, PlaceKind
from guardsvc.guards.wasm.loading.sources.read import read

__all__ = ["MAX_BYTES", "Artifact", "Evidence", "Place", "PlaceKind", "SourceError", "digest_of", "read"]
