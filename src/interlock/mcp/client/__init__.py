"""Tools of MCP servers as contracts: the connection, the lock file, and the calls. Nothing here serves anything."""
