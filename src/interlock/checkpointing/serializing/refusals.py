"""The errors for values that the serializer does not write, and for rows that it does not read."""

from ...tools.errors import InputError, StoreError

NOT_STORABLE, NOT_ALLOWED = "value_not_storable", "type_not_allowed"


class Refused(InputError):  # noqa: N818 -- see `tools.errors`
    """A refused value. Callers that know the channel add its name."""

    default_code = NOT_STORABLE

    def __init__(
        self, what: str, why: str, help_: str, *, code: str = NOT_STORABLE, channel: str | None = None
    ) -> None:
        self.what, self.why, self.help = what, why, help_
        where = "A value of the checkpoint" if channel is None else f"The channel {channel!r}"
        details = {"class": what} if channel is None else {"class": what, "channel": channel}
        super().__init__(f"{where} holds {what}, {why} Nothing was written. {help_}", code=code, details=details)

    def within(self, channel: str) -> "Refused":
        """The same error with the name of the channel."""
        return Refused(self.what, self.why, self.help, code=self.code, channel=channel)


def not_storable(cls: type, why: str = "which has no stored form that would come back as the same value.") -> Refused:
    """The error for objects of classes that are not data classes."""
    return Refused(
        f"an object of {full_name(cls)}",
        why,
        "Put plain data, an enum, a dataclass, a pydantic model or a message into the state, or give the checkpointer a "
        "serializer that knows the class (serde=TypedSerializer(pickle_fallback=True) pickles what it does not know).",
    )


def too_deep(cls: type) -> Refused:
    """The error for values that are nested too deeply."""
    return Refused(
        f"an object of {full_name(cls)}",
        "which is nested too deeply, or holds itself.",
        "Keep large or linked structures elsewhere, and a reference in the state.",
    )


def not_allowed(cls: type) -> Refused:
    """The error for classes that strict mode does not allow."""
    return Refused(
        f"an object of {full_name(cls)}",
        "which neither the schemas of the graph nor allowed_types declare, and this checkpointer is strict.",
        "Declare the class in a schema of the graph, or name it in allowed_types.",
        code=NOT_ALLOWED,
    )


def not_read(module: str, name: str, why: str, help_: str) -> StoreError:
    """The error for rows with a class that is not rebuilt."""
    return StoreError(
        f"A stored value is of the class {module}.{name}, {why} Nothing was loaded, and nothing was changed. {help_}",
        code="unreadable_value",
        details={"class": f"{module}.{name}"},
    )


def full_name(cls: type) -> str:
    """Module and qualified name."""
    return f"{cls.__module__}.{cls.__qualname__}"
