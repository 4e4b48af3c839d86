"""The rows of the workflow store: what its listings find, and what its conditions let through."""
