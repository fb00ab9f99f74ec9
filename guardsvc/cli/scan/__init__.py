"""``guardsvc scan``: what a policy finds in all that an MCP server says of itself."""
