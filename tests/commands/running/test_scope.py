"""Which instance a config names."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.commands.running.scope import workflow_id_of
from interlock.tools import MissingThreadId


@pytest.mark.parametrize("thread", [None, ""])
def test_a_config_without_a_thread_names_no_instance(thread: Any) -> None:
    with pytest.raises(MissingThreadId, match="without saying which instance"):
        workflow_id_of({"thread_id": thread}, "orders")
    assert workflow_id_of({"thread_id": 0}, "orders") == workflow_id_of({"thread_id": "0"}, "orders")
