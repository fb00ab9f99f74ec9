"""Demo: a real MCP client, Envoy, guardsvc and MCP server on this machine, and calls that do and do not pass."""
