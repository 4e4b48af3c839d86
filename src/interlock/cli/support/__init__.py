"""Common parts of the commands: loading a workflow, asking a person, and printing."""
