"""Hosts: what is known of names and addresses, read from the YAML file beside this module."""

from __future__ import annotations

import ipaddress

from guardsvc.config.shipped import read_shipped

__all__ = [
    "CONNECTING_SCHEMES",
    "INTERNAL_SUFFIXES",
    "LOOPBACK_NAMES",
    "METADATA_ADDRESSES",
    "METADATA_NAMES",
    "REBINDING_NAMES",
]

_KNOWN: dict[str, list[str]] = read_shipped(__package__, "hosts.yaml")

CONNECTING_SCHEMES = frozenset(_KNOWN["connecting_schemes"])
INTERNAL_SUFFIXES = tuple(_KNOWN["internal_suffixes"])
LOOPBACK_NAMES = frozenset(_KNOWN["loopback"])
METADATA_ADDRESSES = frozenset(map(ipaddress.ip_address, _KNOWN["metadata_addresses"]))
METADATA_NAMES = frozenset(_KNOWN["metadata_names"])
REBINDING_NAMES = tuple(_KNOWN["rebinding"])
