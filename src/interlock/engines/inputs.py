"""Inputs and answers that wait for their run, with their principal: written with the job in one transaction, and read by its run.

They contain messages, so they are neither in a job's row nor in a table of the workflow store, and are deleted when their run has
taken them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from langchain_core.messages import convert_to_messages, messages_from_dict, messages_to_dict
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from ..checkpointing.tables.inputs import BESIDE_THE_QUEUE, inputs
from ..checkpointing.vault import check_place, placed
from ..tools.errors import InvalidInput
from ..tools.principal import Principal


@dataclass(frozen=True)
class Given:
    """An input or answer for a thread."""

    value: Any
    """The input, or the answer."""
    principal: Principal
    """Its principal."""


def dumped_input(given: Any) -> dict[str, Any]:
    """Serialize an input of a run to JSON data.

    Raises:
        InvalidInput: It cannot be stored.
    """
    if isinstance(given, BaseModel):
        given = {name: getattr(given, name) for name in type(given).model_fields}
    if not isinstance(given, Mapping):
        raise InvalidInput(
            f'The input of a run is a {type(given).__name__}. Nothing was enqueued; give {{"messages": [...]}}, and "data" when it starts.'
        )
    dumped = dict(given)
    if dumped.get("messages") is not None:
        messages = dumped["messages"]
        try:
            dumped["messages"] = messages_to_dict(
                convert_to_messages(messages if isinstance(messages, list) else [messages])
            )
        except (ValueError, TypeError, NotImplementedError, KeyError) as error:
            raise InvalidInput(
                f"The input's messages cannot be read: {type(error).__name__}. Nothing was enqueued; give a list of messages, such as "
                '[("user", "hello")].'
            ) from error
    if isinstance(data := dumped.get("data"), BaseModel):
        dumped["data"] = data.model_dump(mode="json")
    return dumped


def insert(
    connection: Connection, input_id: str, *, thread_id: str, value: Any, principal: Principal, now: int
) -> None:
    """Insert an input or an answer.

    Raises:
        InvalidInput: It has no JSON form.
    """
    try:
        body = json.dumps({"value": value, "principal": principal.to_json()}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"What the thread {thread_id} is to be given has no JSON form ({type(error).__name__}). Nothing was enqueued."
        ) from error
    values = {
        "input_id": input_id,
        "thread_id": thread_id,
        "tenant": principal.tenant,
        "body": body,
        "created_at": now,
    }
    connection.execute(sa.insert(inputs).values(placed(inputs, values)), execution_options=BESIDE_THE_QUEUE)


def load(connection: Connection, input_id: str) -> Given | None:
    """Read an input; None if it was already taken."""
    statement = sa.select(inputs).where(inputs.c.input_id == input_id)
    row = connection.execute(statement, execution_options=BESIDE_THE_QUEUE).mappings().first()
    if row is None:
        return None
    values = dict(row)
    check_place(inputs, values)
    kept = json.loads(values["body"])
    value = kept["value"]
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = {**value, "messages": messages_from_dict(value["messages"])}
    return Given(value, Principal.from_json(kept["principal"]))


def delete(connection: Connection, input_id: str) -> None:
    """Delete a taken input."""
    statement = sa.delete(inputs).where(inputs.c.input_id == input_id)
    connection.execute(statement, execution_options=BESIDE_THE_QUEUE)


__all__ = ["Given", "delete", "dumped_input", "insert", "load"]
