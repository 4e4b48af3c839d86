"""The core: builder, nodes, gate, approvals and the compiled graph, by what they do."""
