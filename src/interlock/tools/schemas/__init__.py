"""Parses the arguments of a call: the offered schema is the enforced schema.

Open `input.py` first: the protocol that signatures, pydantic models, JSON Schemas and LangChain tools implement.
"""
