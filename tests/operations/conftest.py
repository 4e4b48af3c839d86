"""Where the tests of operations keep their workflows."""

from __future__ import annotations

from tests.commands.approvals.conftest import home, shop

__all__ = ["home", "shop"]
