"""Principals: the people and programs that act."""

import dataclasses
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

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

    id: str = "anonymous"
    """A stable ID, unique within the application. The default stands for nobody in particular; LangGraph's server uses it when a run has no
    context."""
    roles: frozenset[str] = frozenset()
    tenant: str = "default"
    """The tenant whose data the principal works on."""
    attributes: Mapping[str, JSON] = dataclasses.field(default_factory=dict)
    """Further data for guards and policies, as JSON data."""

    if TYPE_CHECKING:
        # What is accepted: any collection of roles becomes a frozenset.
        def __init__(
            self,
            id: str = "anonymous",  # noqa: A002
            roles: Collection[str] = (),
            tenant: str = "default",
            attributes: Mapping[str, Any] = ...,
        ) -> None: ...

    ANONYMOUS: ClassVar["Principal"]
    """Nobody in particular: the principal of a run without a context."""
    _RESERVED: ClassVar[tuple[str, ...]] = ("interlock:", "interlock.", "event:")
    """The prefix of the IDs under which the library itself acts."""

    def __post_init__(self) -> None:
        for name in ("id", "tenant"):
            object.__setattr__(self, name, checked_name(f"Principal.{name}", getattr(self, name)))
        if self.id.startswith(self._RESERVED):
            raise PrincipalError(
                f"Principal.id is {self.id!r}; ids that begin with {' or '.join(map(repr, self._RESERVED))} are Interlock's own. Give another id."
            )
        roles: object = self.roles
        if isinstance(roles, str) or not isinstance(roles, Iterable):
            raise PrincipalError(f"Principal.roles is {roles!r}; give a set of strings, such as {{'supervisor'}}")
        roles = frozenset(name_of(role) if isinstance(role, str) else "" for role in roles)
        if "" in roles:
            raise PrincipalError(
                "Principal.roles contains something that is not a non-empty string; pass a set of strings"
            )
        object.__setattr__(self, "roles", roles)
        if type(self.attributes) is not dict and not isinstance(self.attributes, Mapping):
            raise PrincipalError(f"Principal.attributes is {self.attributes!r}; give a mapping of strings to JSON data")
        try:
            # Most have none, and every row and proposal that is read has a principal or two.
            object.__setattr__(self, "attributes", to_json(self.attributes) if self.attributes else {})
        except NotJson as error:
            raise PrincipalError(f"Principal.attributes cannot be kept: {error.message}") from None

    @classmethod
    def anonymous(cls, tenant: str = "default") -> "Principal":
        """Return the anonymous principal of a tenant."""
        return cls(_ANONYMOUS_ID, tenant=tenant)

    @property
    def is_known(self) -> bool:
        """Whether this is somebody in particular, and not the anonymous principal."""
        return self.id != _ANONYMOUS_ID

    def has_role(self, role: str) -> bool:
        """Whether the principal has the role. The anonymous principal has no roles, whatever its `roles` say."""
        return self.is_known and name_of(role) in self.roles

    def to_json(self) -> JsonObject:
        """Return the fields as JSON data; `from_json` parses them."""
        return {
            "id": self.id,
            "roles": [*sorted(self.roles)],
            "tenant": self.tenant,
            "attributes": self.attributes,  # type: ignore[dict-item]  # JSON, by __post_init__
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Principal":
        """Parse what `to_json` returned.

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
        """Return the principal for the context of a run.

        None gives the anonymous principal, and a `Principal` itself. A mapping is read as its fields. From an object with an attribute
        `principal`, or a mapping with that key (as from a parent graph with another context schema), that value is taken.

        Raises:
            PrincipalError: The context is none of these.
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
                f"the run's context is a {type(value).__qualname__}, which does not identify a principal; pass "
                "context=Principal(id=…), "
                "a mapping of its fields, or an object with an attribute `principal`"
            ) from None
        if inner is value:
            raise PrincipalError(
                f"the attribute `principal` of the run's context ({type(value).__qualname__}) is that object itself"
            )
        return cls.coerce(inner)


class RuntimeActor(Principal):
    """The library itself, where it resumes a workflow: at a deadline, on an event, after a decision.

    It is a runtime object. Nothing that is read from JSON becomes one, whatever it calls itself, so no client can name it.
    """

    _RESERVED: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def clock(cls, tenant: str) -> "RuntimeActor":
        """The principal that enforces deadlines and resumes threads, within a tenant."""
        return cls("interlock:clock", tenant=tenant)

    @classmethod
    def event(cls, source: str, tenant: str) -> "RuntimeActor":
        """The principal of a received event, by its source."""
        return cls(f"event:{source}"[:_LONGEST], tenant=tenant)


class LibraryActor(Principal):
    """The library itself, in the record of what it did alone. It has no rights of its own, other than a `RuntimeActor`."""

    _RESERVED: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def deadline(cls, tenant: str) -> "LibraryActor":
        """Who cancels an instance at its deadline, within a tenant."""
        return cls("interlock.deadline", tenant=tenant)

    @classmethod
    def deletion(cls) -> "LibraryActor":
        """Who erases what belongs to a thread that is deleted without a principal."""
        return cls("interlock.deletion")


def recorded_principal(data: Mapping[str, object]) -> Principal:
    """A principal that a row of the store names, which may be the library itself.

    Raises:
        PrincipalError: A field is missing, unknown or of a wrong type.
    """
    is_ours = str(data.get("id", "")).startswith("interlock.")
    return (LibraryActor if is_ours else Principal).from_json(data)


def name_of(text: str) -> str:
    """The one spelling of an id, a tenant or a role: in Unicode's composed form (NFC), without spaces around it."""
    # ASCII is composed as it is.
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()


def checked_name(what: str, value: object) -> str:
    """The id of a person, or of a tenant, in its one spelling.

    Args:
        what: What it is in messages.
        value: What was given.

    Raises:
        PrincipalError: It is not a text, is empty or too long, or has characters that nobody sees.
    """
    spelled = value if isinstance(value, str) else ""
    if not (spelled.isascii() and spelled.isprintable()) or " " in {spelled[:1], spelled[-1:]}:
        spelled = name_of(spelled)  # of white space, only a space is printable
    if not 0 < len(spelled) <= _LONGEST or not spelled.isprintable():
        raise PrincipalError(f"{what} is {value!r:.300}; give a printable string of 1 to {_LONGEST} characters")
    return spelled


_ANONYMOUS_ID = "anonymous"
Principal.ANONYMOUS = Principal.anonymous()
