"""Small policies whose verdicts tell which one decided."""

from __future__ import annotations

import json
from typing import Any


def allowing(*tools: str, **service: Any) -> str:
    """A configuration that allows calls of these tools only."""
    rules = [{"action": "allow", "tools": list(tools)}] if tools else []
    access_list = {
        "type": "access_list",
        "settings": {"unknown_server": "allow", "default": "deny", "rules": rules},
    }
    return json.dumps({"service": service, "policy": {"name": "-".join(("allow", *tools)), "guards": [access_list]}})
