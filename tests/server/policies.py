"""Small policies whose verdicts tell which one decided."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def allowing(*tools: str, **service: Any) -> str:
    """A configuration that allows calls of these tools only."""
    rules = [{"action": "allow", "tools": list(tools)}] if tools else []
    access_list = {
        "type": "access_list",
        "settings": {"unknown_server": "allow", "default": "deny", "rules": rules},
    }
    return json.dumps({"service": service, "policy": {"name": "-".join(("allow", *tools)), "guards": [access_list]}})


def small(folder: Path) -> tuple[str, str]:
    """The options for a configuration that allows every call, built in a moment; the default one takes a second."""
    config = folder / "small.json"
    access_list = {"type": "access_list", "settings": {"unknown_server": "allow", "default": "allow"}}
    config.write_text(json.dumps({"policy": {"name": "small", "guards": [access_list]}}))
    return "--config", str(config)
