"""The msgpack extensions of the default serializer. LangGraph's own are 0 to 7; those of the saver are 120 and above."""

LANGGRAPH_ONE, LANGGRAPH_POSITIONAL, LANGGRAPH_KEYWORDS, LANGGRAPH_METHOD = 0, 1, 2, 3
LANGGRAPH_MODEL_V1, MODEL, LANGGRAPH_ARRAY, DELTA_SNAPSHOT = 4, 5, 6, 7

TUPLE = 64
"""A tuple: its items."""
VALUE = 65
"""A value of a fixed list of classes: its tag, then its parts."""
DATA = 66
"""An object of a data class: kind, module, qualified name, state."""
