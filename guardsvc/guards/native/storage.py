"""Storage: the settings of guards that remember something beyond a decision, and where it then is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field

from guardsvc.config import Secret
from guardsvc.model import Settings, SettingsError
from guardsvc.state import UrlError
from guardsvc.state.catalog_needs import CatalogStore
from guardsvc.state.open_tables import check_tables_url

if TYPE_CHECKING:
    from guardsvc.model import GuardContext

__all__ = ["Stored", "StoredSettings", "store_of"]


class StoredSettings(Settings):
    """Where something is kept."""

    storage: Literal["memory"] | Secret = Field(
        default="memory",
        union_mode="left_to_right",
        description="`memory` of the process, `sqlite:/path` that the workers of a host share, or the URL of a Redis "
        "or Valkey that replicas share.",
    )
    per_worker: bool = Field(
        default=False,
        description="Let each worker keep its own; without it, memory with several workers is an error.",
    )


class Stored(Protocol):
    """Settings that say where something is kept."""

    @property
    def storage(self) -> str | Secret:
        """``memory``, or the URL."""

    @property
    def per_worker(self) -> bool:
        """Whether each worker may keep its own in memory."""


def store_of(settings: Stored, context: GuardContext) -> CatalogStore:
    """The store of a guard.

    Raises:
        SettingsError: its URL cannot be used, or several workers would each have a memory of their own.
    """
    if isinstance(settings.storage, str):
        if context.workers > 1 and not settings.per_worker:
            raise SettingsError(
                ("per_worker",),
                f"each of the {context.workers} workers would have a memory of its own: set per_worker: true, or "
                "storage to sqlite:/path or the URL of a Redis that they share",
            )
        return CatalogStore()
    url = settings.storage.reveal()
    try:
        check_tables_url(url)
    except UrlError as error:
        raise SettingsError(("storage",), str(error)) from None
    return CatalogStore(url)
