"""``agentgateway.dev.ext_mcp.ExtMcp``: single MCP operations in both directions, asked by agentgateway."""

from guardsvc.gateways.ext_mcp.service import ExtMcp

__all__ = ["ExtMcp"]
