"""The client's half of the protocol's conformance suite: `make mcp-conformance-client`."""
