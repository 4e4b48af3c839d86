"""How the arguments of a call are read: the schema that is offered is the schema that is enforced.

Open `input.py` first: the protocol behind which signatures, pydantic models, JSON Schemas and LangChain tools stand.
"""
