"""What is refused when a workflow is compiled, each with the place that is wrong. Open `definition.py` first."""
