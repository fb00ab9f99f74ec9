# mypy: ignore-errors
"""Answers by the name of the tool: see test_wasm_templates.py."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import host
from wit_world.imports.types import Decision_Allow, Decision_Deny, Decision_Modify, Decision_Warn, DenyReason


class ToolInvoke(exports.ToolInvoke):
    def evaluate(self, tool_name, arguments, context):  # noqa: ANN001, ANN201, ARG002
        match tool_name:
            case "modify":
                return Decision_Modify('{"path":"é"}')
            case "fail":
                raise Err("no é")
            case "deny":
                return Decision_Deny(DenyReason("probed", "No é.", '{"why":"é"}'))
            case "warn":
                return Decision_Warn(
                    [
                        context.server_name,
                        context.tenant or "none",
                        context.identity or "none",
                        "verified" if context.verified else "not verified",
                        context.method,
                        host.get_metadata("subject") or "none",
                        host.get_metadata("nothing") or "none",
                        "after 2020" if host.get_time() > 1600000000000 else "before",
                    ]
                )
        return Decision_Allow()
