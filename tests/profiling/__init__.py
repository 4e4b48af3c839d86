"""Where a step's time goes: `make profile`."""
