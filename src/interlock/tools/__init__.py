"""Tools: contracts and decorators, result and error shapes, events, and what a tool function is given. Knows nothing
of graphs."""
