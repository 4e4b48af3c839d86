"""The benchmark's writes under attack by hostile MCP clients: none is carried out, none reaches its body, all is written down.

A share here; all of them with `make attacks`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.mcp.server import attacks
from tests.workflows.retail import tau2
from tests.workflows.retail.attacked import Write

SHARE = None if os.environ.get("INTERLOCK_ATTACKS") == "all" else 1

pytestmark = pytest.mark.skipif(not tau2.PRESENT, reason=f"the tau2-bench retail data is not in {tau2.FOLDER}")


@pytest.fixture(scope="module")
def desk() -> Iterator[attacks.ClientRange]:
    made = attacks.ClientRange()
    yield made
    made.close()


@pytest.mark.parametrize(("name", "write"), attacks.plan(SHARE) if tau2.PRESENT else [], ids=str)
def test_nothing_comes_of_it(desk: attacks.ClientRange, name: str, write: Write) -> None:
    result = desk.suffers(name, write)

    assert not result.carried_out
    assert result.reached == 0
    assert result.audit_is_whole
    assert result.codes, "somebody was told no"
    assert result.recorded, "and it is written down"
