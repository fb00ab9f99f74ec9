"""URL: where shared state is kept. The client for it is loaded where a URL is configured, since it is large."""

from __future__ import annotations

__all__ = ["UrlError", "check_url"]


class UrlError(ValueError):
    """A URL that cannot be used; the text does not repeat it, since it may hold a password."""


def check_url(url: str) -> None:
    """See that the URL of a Redis or Valkey can be used, without connecting.

    Raises:
        UrlError: it cannot.
    """
    from guardsvc.state.redis import connection_pool  # noqa: PLC0415

    connection_pool(url)
