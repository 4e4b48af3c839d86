"""The published wire form of a tool contract."""

from pydantic import BaseModel, ConfigDict, Field

from ..canonical import JsonObject
from ..kinds import ToolKind
from ..wire import camel


class ToolAnnotations(BaseModel):
    """Hints about a tool, as defined by the Model Context Protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=camel, populate_by_name=True, strict=True)

    read_only_hint: bool | None = None
    """The tool changes nothing."""
    destructive_hint: bool | None = None
    """The tool may overwrite or end something, and does not only add."""
    idempotent_hint: bool | None = None
    """A repeated call with the same arguments has no further effect."""
    open_world_hint: bool | None = None
    """The tool reaches beyond the workflow store's database."""

    def to_json(self) -> JsonObject:
        """Return the hints that are set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ContractShape(BaseModel):
    """A tool contract on the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=camel, populate_by_name=True)

    name: str
    version: int = Field(ge=1)
    kind: ToolKind
    description: str
    input_schema: JsonObject
    """JSON Schema of the arguments."""
    output_schema: JsonObject
    """JSON Schema of the output."""
    annotations: ToolAnnotations

    def to_json(self) -> JsonObject:
        """Return the shape exactly as on the wire."""
        return {**self.model_dump(mode="json", by_alias=True), "annotations": self.annotations.to_json()}
