"""The retail desk: a shop in SQL, and its customer service.

graph = retail_workflow(model).compile(checkpointer=SQLCheckpointer("sqlite:///desk.db"))
open_shop(graph.engine.store)  # the sample shop, unless there is one already
graph.invoke({"messages": [("user", "I am tove@…, please cancel order #W1001.")]}, config)
"""

from .sample_shop import load_sample_shop, sample_shop
from .shop import Shop, create_tables, load, read_order, read_shop, read_user
from .tools import BY_TAU2_NAME, CHANGING, IDENTIFYING, LOOKING_UP, DeskData
from .workflow import (
    HANDED_OVER,
    IDENTIFIED,
    OWN_RECORDS,
    PROMPT,
    TRANSFER_NOTICE,
    UNIDENTIFIED,
    open_shop,
    retail_workflow,
)

__all__ = [
    "BY_TAU2_NAME",
    "CHANGING",
    "HANDED_OVER",
    "IDENTIFIED",
    "IDENTIFYING",
    "LOOKING_UP",
    "OWN_RECORDS",
    "PROMPT",
    "TRANSFER_NOTICE",
    "UNIDENTIFIED",
    "DeskData",
    "Shop",
    "create_tables",
    "load",
    "load_sample_shop",
    "open_shop",
    "read_order",
    "read_shop",
    "read_user",
    "retail_workflow",
    "sample_shop",
]
