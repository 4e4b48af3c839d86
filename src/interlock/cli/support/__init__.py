"""What several commands share: loading a workflow, asking a person, and printing."""
