"""Databases of releases, frozen, and that the current code upgrades them with everything that was under way."""
