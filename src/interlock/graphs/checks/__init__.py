"""The checks of a compilation; each error names the place that is wrong. Open `definition.py` first."""
