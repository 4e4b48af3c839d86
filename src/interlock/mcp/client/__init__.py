"""The tools of MCP servers as contracts: the connection, the lock file, and the calls. Workflows are served by `mcp/server`."""
