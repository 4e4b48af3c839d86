"""Markers on the fields of tools: where they may stand, how they are read, and what is found with them."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from interlock import Approval, Workflow, command, contract_from_schema, read
from interlock.rules.claims import find
from interlock.rules.claims.findings import FindingKind
from interlock.tools.errors import ContractError, WorkflowDefinitionError
from interlock.tools.origins import Content, Id, Label, Outside, Own, Reaches, marked_fields
from interlock.tools.origins.contracts import input_fields, output_fields


class Kind(enum.StrEnum):
    IN = "in"
    OUT = "out"


class Note(BaseModel):
    text: str
    read: bool


class Transfer(BaseModel):
    transfer_id: Annotated[int, Id("transfer")]
    iban: Annotated[str | None, Own] = None
    subject: Annotated[str, Label]
    note: Annotated[Note, Outside]
    kind: Kind
    parts: list[Transfer] = []
    by_day: dict[str, Annotated[str, Own]] = {}


@dataclasses.dataclass
class Owner:
    full_name: Annotated[str, Own]


class Address(TypedDict):
    street: Annotated[str, Own]


@read("transfer.list")
def list_transfers() -> list[Transfer]:
    """List transfers."""
    return []


@command("transfer.send", effect="transactional")
def send(
    to_account: Annotated[str, Reaches], transfer_id: Annotated[int, Id("transfer")], text: Annotated[str, Content]
) -> str:
    """Send a transfer."""
    return "sent"


def marks(fields: Any) -> dict[str, str | None]:
    return {field.label: None if field.mark is None else str(field.mark) for field in fields}


def test_the_markers_of_an_output_are_read_at_every_depth_with_the_names_on_the_wire() -> None:
    assert marks(output_fields(list_transfers)) == {
        "*.transferId": "id:transfer",
        "*.iban": "own",
        "*.subject": "label",
        "*.note.text": "outside",
        "*.note.read": "outside",
        "*.kind": None,
        "*.byDay.*": "own",
    }


def test_the_markers_of_arguments_say_what_each_decides() -> None:
    assert marks(input_fields(send)) == {"toAccount": "reaches", "transferId": "id:transfer", "text": "content"}


def test_markers_are_not_in_the_schemas_that_are_published_and_offered() -> None:
    for contract in (list_transfers, send):
        assert "x-interlock" not in str(contract.to_wire().to_json())
        assert "x-interlock" not in str(contract.tool_definition())


@pytest.mark.parametrize("returned", [Owner, Address, Annotated[str, Own], tuple[Annotated[str, Own], int]], ids=str)
def test_dataclasses_typed_dicts_and_plain_values_carry_markers_too(returned: Any) -> None:
    @read("some.thing", output_model=returned)
    def thing() -> Any:
        """Look."""

    assert "own" in {str(field.mark) for field in output_fields(thing)}


def test_numbers_dates_and_constants_hold_no_free_text() -> None:
    schema = {
        "type": "object",
        "properties": {
            "count": {"type": "integer"},
            "day": {"type": "string", "format": "date"},
            "kind": {"enum": ["a", "b"]},
            "flag": {"type": ["boolean", "null"]},
            "note": {"type": ["string", "null"]},
            "anything": True,
            "nothing": False,
        },
    }

    assert {field.name: field.is_text for field in marked_fields(schema)} == {
        "count": False,
        "day": False,
        "kind": False,
        "flag": False,
        "note": True,
        "anything": True,
    }


SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "x-interlock-origin": "id:file"},
        "owner": {"$ref": "#/$defs/person", "x-interlock-origin": "own"},
        "body": {"type": "string", "x-interlock-origin": "outside"},
    },
    "$defs": {"person": {"type": "object", "properties": {"name": {"type": "string"}, "boss": {"$ref": "#/$defs/person"}}}},
}  # fmt: skip


def test_the_schema_of_a_tool_of_others_carries_markers_and_those_that_trust_are_not_believed_unasked() -> None:
    given: Any = {"input_schema": {"type": "object"}, "output_schema": SCHEMA, "kind": "read"}
    theirs = contract_from_schema("file.get", call=lambda arguments: {}, **given)
    ours = contract_from_schema("file.get", call=lambda arguments: {}, trust_markers=True, **given)

    assert marks(output_fields(theirs)) == {"id": None, "owner.name": None, "body": "outside"}
    assert marks(output_fields(ours)) == {"id": "id:file", "owner.name": "own", "body": "outside"}


def test_a_field_of_pydantic_carries_a_marker_as_an_extension_of_its_schema() -> None:
    @command("mail.send", effect="transactional")
    def mail(to: Annotated[str, Field(json_schema_extra={"x-interlock-origin": "reaches"})]) -> str:
        """Send."""
        return "sent"

    assert marks(input_fields(mail)) == {"to": "reaches"}


@pytest.mark.parametrize("text", ["theirs", "id", "id:", "own:x", "id:Not A Kind", 7, None, ""], ids=repr)
def test_what_is_no_marker_is_refused(text: object) -> None:
    with pytest.raises(ContractError):
        marked_fields({"type": "string", "x-interlock-origin": text})


def test_a_marker_that_says_nothing_where_it_stands_is_refused_when_the_workflow_is_compiled() -> None:
    @command("mail.send", effect="transactional")
    def mail(to: Annotated[str, Own]) -> Annotated[str, Reaches]:
        """Send."""
        return "sent"

    flow = Workflow("mail")
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", mail, "closed")

    with pytest.raises(WorkflowDefinitionError, match="marks to as own, which says nothing there"):
        flow.compile()


class Customer(BaseModel):
    email: Annotated[str, Own]
    nickname: str


@read("customer.get")
def get_customer() -> Customer:
    """Look."""
    return Customer(email="a@example.org", nickname="a")


@command("customer.change", effect="transactional")
def change(email: str, nickname: str) -> str:
    """Change."""
    return "changed"


@pytest.mark.parametrize(
    ("rule", "found"),
    [(None, True), (Approval(), False), (Approval(when=lambda email: False), True)],
    ids=["nobody is asked", "always asked", "asked sometimes"],
)
def test_an_argument_that_may_write_an_own_field_unasked_is_found(rule: Approval | None, found: bool) -> None:
    flow = Workflow("desk")
    flow.add_state("open", tools=[get_customer])
    flow.add_state("closed", final=True)
    flow.add_edge("open", change, "closed", approval=rule)

    told = [one for one in find(flow.checked()) if one.kind is FindingKind.OWN_WRITABLE]

    assert [one.where for one in told] == (["open --customer.change--> closed"] if found else [])
    assert all("The argument email may write what customer.get: email returns" in one.message for one in told)
