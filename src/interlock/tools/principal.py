"""Who acts."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import ClassVar, cast

from .canonical import JSON, JsonObject, to_json
from .errors import NotJson, PrincipalError

_LONGEST = 255
_FIELDS = frozenset({"id", "roles", "tenant", "attributes"})


@dataclasses.dataclass(frozen=True)
class Principal:
    """Who acts, as the embedding application knows them; never taken from the model or from a resume payload.

    It is the ``context_schema`` of a compiled workflow: ``graph.invoke(…, context=Principal("ada",
    roles={"supervisor"}))``. LangGraph also builds it from a dict of the same fields.
    """

    id: str
    """Stable and unique within the application."""
    roles: frozenset[str] = frozenset()
    tenant: str = "default"
    """Whose data the principal works on."""
    attributes: Mapping[str, JSON] = dataclasses.field(default_factory=dict)
    """Anything else that guards and policies look at, as JSON data."""

    ANONYMOUS: ClassVar["Principal"]
    """Nobody in particular: what acts when the application says nothing."""

    def __post_init__(self) -> None:
        for name in ("id", "tenant"):
            _check_name(name, getattr(self, name))
        roles: object = self.roles
        if isinstance(roles, str) or not isinstance(roles, Iterable):
            raise PrincipalError(f"Principal.roles is {roles!r}; give a set of strings, such as {{'supervisor'}}")
        roles = frozenset(roles)
        if not all(isinstance(role, str) and role for role in roles):
            raise PrincipalError(
                "Principal.roles holds something that is not a non-empty string; give a set of strings"
            )
        object.__setattr__(self, "roles", roles)
        if not isinstance(self.attributes, Mapping):
            raise PrincipalError(f"Principal.attributes is {self.attributes!r}; give a mapping of strings to JSON data")
        try:
            object.__setattr__(self, "attributes", to_json(self.attributes))
        except NotJson as error:
            raise PrincipalError(f"Principal.attributes cannot be kept: {error.message}") from None

    @classmethod
    def anonymous(cls, tenant: str = "default") -> "Principal":
        """Nobody in particular, within a tenant."""
        return cls(_ANONYMOUS_ID, tenant=tenant)

    @property
    def is_known(self) -> bool:
        """Whether this is somebody in particular."""
        return self.id != _ANONYMOUS_ID

    def has_role(self, role: str) -> bool:
        """Whether the principal is known and has the role: an unknown one has none, whatever it claims."""
        return self.is_known and role in self.roles

    def to_json(self) -> JsonObject:
        """Give the fields as JSON data; `from_json` reads them back."""
        return {
            "id": self.id,
            "roles": [*sorted(self.roles)],
            "tenant": self.tenant,
            "attributes": cast("JSON", self.attributes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Principal":
        """Read what `to_json` gave.

        Raises:
            PrincipalError: a field is missing, unknown or of a wrong type.
        """
        unknown = sorted(map(str, data.keys() - _FIELDS))
        if unknown or "id" not in data:
            wrong = f"has the unknown fields {', '.join(unknown)}" if unknown else "has no 'id'"
            raise PrincipalError(f"the principal {wrong}; its fields are id, roles, tenant and attributes")
        return cls(**data)  # type: ignore[arg-type]  # checked field by field by __post_init__

    @classmethod
    def coerce(cls, value: object) -> "Principal":
        """Find the principal in what a run was given as its context.

        None is the anonymous principal; a Principal is itself; a mapping of its fields is read; and of an object with
        an attribute `principal` (or a mapping with such a key, as a parent graph with another context schema hands
        down) that is taken.

        Raises:
            PrincipalError: none of these.
        """
        match value:
            case None:
                return cls.ANONYMOUS
            case Principal():
                return value
            case Mapping():
                return cls.coerce(value["principal"]) if "principal" in value else cls.from_json(value)
        try:
            inner = value.principal  # type: ignore[attr-defined]
        except AttributeError:
            raise PrincipalError(
                f"the run's context is a {type(value).__qualname__}, which says nothing of who acts; pass "
                "context=Principal(id=…), "
                "a mapping of its fields, or an object with an attribute `principal`"
            ) from None
        if inner is value:
            raise PrincipalError(
                f"the attribute `principal` of the run's context ({type(value).__qualname__}) is that object itself"
            )
        return cls.coerce(inner)


def _check_name(name: str, value: object) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise PrincipalError(f"Principal.{name} is {value!r}; give a printable string of 1 to {_LONGEST} characters")


_ANONYMOUS_ID = "anonymous"
Principal.ANONYMOUS = Principal.anonymous()
