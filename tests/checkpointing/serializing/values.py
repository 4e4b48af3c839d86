"""Values that serializers commonly alter, and classes of an application's own, for the tests of types."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import ipaddress
import pathlib
import re
import threading
import uuid
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Optional, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pydantic
from langchain_core.agents import AgentAction, AgentFinish
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, ToolMessage
from langgraph.types import Command, Interrupt, Overwrite, Send
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, HttpUrl, PrivateAttr, RootModel, SecretStr

NEW_YORK = ZoneInfo("America/New_York")
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    LIST = [1]  # noqa: RUF012 -- a value that has no hash


class Word(str, enum.Enum):  # noqa: UP042 -- as applications have it
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    LOW = 1


class UserId(str):
    __slots__ = ()


class Tags(list[Any]):
    pass


class Attributes(dict[str, Any]):
    pass


class Point(NamedTuple):
    x: int
    y: Any = None


@dataclasses.dataclass
class Job:
    what: Any
    tags: list[Any] = dataclasses.field(default_factory=list)
    tries: int = dataclasses.field(default=3, init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    what: Any


@dataclasses.dataclass
class Computed:
    x: int
    y: dataclasses.InitVar[int] = 5

    def __post_init__(self, y: int) -> None:
        self.product = self.x * y


class Item(BaseModel):
    name: Any = None
    parent: Optional[Item] = None  # noqa: UP045 -- read by pydantic
    _seen: int = PrivateAttr(0)

    @functools.cached_property
    def lock(self) -> Any:
        return threading.Lock()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 1


class Named(BaseModel):
    a: int = Field(1, alias="A", exclude=True)


class Page(BaseModel, Generic[T]):
    inner: T


class Numbers(RootModel[list[int]]):
    pass


class Outer(BaseModel):
    class Inner(enum.Enum):
        ONE = 1

    inner: Inner = Inner.ONE


class Spoken(HumanMessage):
    language: str = "en"


class Turn(BaseModel):
    role: str
    content: str


@pydantic.dataclasses.dataclass
class Checked:
    x: int


def seen_item() -> Item:
    item = Item(name={1, 2}, parent=Item(name="p"))
    item._seen = 9
    assert item.lock is not None  # computed once, and not part of the value
    return item


def local_model() -> Any:
    class Local(BaseModel):
        x: int

    return Local(x=1)


VALUES: dict[str, Callable[[], Any]] = {
    "a zone": lambda: NEW_YORK,
    "a time in a zone": lambda: dt.datetime(2026, 3, 7, 9, tzinfo=NEW_YORK),
    "the second of two equal times": lambda: dt.datetime(2026, 11, 1, 1, 30, fold=1, tzinfo=NEW_YORK),
    "a time without a zone": lambda: dt.datetime(2026, 1, 1, 1, 1, 1, 5),
    "a time in UTC": lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "a named offset": lambda: dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "X")),
    "a time of day": lambda: dt.time(1, 2, fold=1, tzinfo=dt.UTC),
    "a duration": lambda: dt.timedelta(days=-1, microseconds=5),
    "a date": lambda: dt.date(1, 1, 1),
    "a decimal": lambda: decimal.Decimal("1.10"),
    "a decimal that is no number": lambda: decimal.Decimal("sNaN123"),
    "a fraction": lambda: fractions.Fraction(1, 3),
    "a complex number": lambda: 1 + 2j,
    "a range": lambda: range(0, 10, 3),
    "a UUID": lambda: uuid.UUID(int=7),
    "an enum": lambda: [*Colour, Word.A, Number.ONE],
    "flags": lambda: [Rights.READ | Rights.WRITE, Rights(0), Bits.LOW | Bits(8)],
    "a bounded deque": lambda: collections.deque([1], maxlen=1),
    "a defaultdict": lambda: collections.defaultdict(list, a=[1]),
    "a Counter": lambda: collections.Counter("aab"),
    "an OrderedDict": lambda: collections.OrderedDict(b=1, a=2),
    "a ChainMap": lambda: collections.ChainMap({"a": 1}),
    "a set of tuples": lambda: {(1, 2), (3,)},
    "a frozenset": lambda: frozenset({(1, 2)}),
    "tuples": lambda: (1, (2, [3, (4,)])),
    "an enum as a key": lambda: {Colour.RED: 1},
    "numbers as keys": lambda: {1: "a", 2**70: "b", 1.5: "c", True + 4: "d"},
    "tuples and dates as keys": lambda: {(1, 2): 1, dt.date(2026, 1, 1): 2},
    "None as a key": lambda: {None: 1},
    "integers beyond 64 bits": lambda: [2**70, -(2**63), 2**64 - 1, 2**64, -(2**80)],
    "bytes": lambda: [b"\x00\xff\xfe", b""],
    "a bytearray": lambda: {"x": [bytearray(b"q")], "text": "ą"},
    "half an emoji": lambda: {"a\ud800": "a\ud800"},
    "floats": lambda: [-0.0, float("inf"), 5.0, 1e22],
    "a path": lambda: [pathlib.Path("/a/b"), pathlib.PureWindowsPath("c:\\x"), pathlib.PurePosixPath(".")],
    "addresses": lambda: [ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8")],
    "patterns": lambda: [re.compile("a.b", re.IGNORECASE), re.compile(b"x")],
    "a subclass of str": lambda: [UserId("x")],
    "subclasses of containers": lambda: [Tags([1, (2,)]), Attributes(a=1)],
    "a named tuple": lambda: Point(1, (2,)),
    "a dataclass": lambda: Job((1, 2), [Job(1)]),
    "a frozen dataclass with slots": lambda: Fixed({1}),
    "a dataclass that computes": lambda: Computed(2),
    "a checked dataclass": lambda: Checked(1),
    "a model with private attributes": seen_item,
    "a model with extra fields": lambda: Open(a=1, b=(2,)),  # type: ignore[call-arg]
    "a model with an alias": lambda: Named(A=5),
    "models with parameters": lambda: [Page[Item](inner=Item()), Page[list[int]](inner=[1]), Page[Page[int]](inner=Page[int](inner=1))],
    "a root model": lambda: Numbers([1]),
    "an enum within a model": Outer,
    "a model of a function": local_model,
    "a model that looks like a message": lambda: Turn(role="user", content="x"),
    "a secret": lambda: SecretStr("pw"),
    "addresses of pages": lambda: [HttpUrl("https://a.b/c"), AnyUrl("x://y")],
    "a document": lambda: Document("t", metadata={"k": (1,)}),
    "an agent's steps": lambda: [AgentAction("t", {"a": 1}, "log"), AgentFinish({"o": 1}, "l")],
    "a message of one's own": lambda: [Spoken("h", language="de", id="1")],
    "a message with extra fields": lambda: [HumanMessage("x", mood="odd", id="2")],  # type: ignore[call-arg]
    "an artifact": lambda: [ToolMessage("x", tool_call_id="1", artifact=Job((1,)), id="3")],
    "LangGraph's own": lambda: [Send("n", Job(1)), Command(update={"a": (1,)}, goto="x"), Interrupt(Item(), id="i"), Overwrite([1])],
    "numpy scalars": lambda: [np.float32(1.5), np.float64(1.5), np.int64(3), np.bool_(True), np.str_("x"), np.datetime64("2026-01-01")],
    "arrays": lambda: [
        np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.zeros((0, 3)), np.array(5),
        np.array(["2026-01-01"], dtype="datetime64[D]"), np.array(["ab", "c"]), np.frombuffer(b"abcd", dtype="u1"),
        np.arange(3, dtype=">i4"), np.array([(1, (2.0, 3.0))], dtype=[("a", "i4"), ("b", "f8", (2,))]),
        np.array([1, "a", None, (1, 2)], dtype=object),
    ],
}  # fmt: skip
"""What comes back as it went in."""


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same: of the same classes, with the same content, in the same order."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        return (left.dtype, left.shape, repr(left), left.flags.writeable, left.flags.f_contiguous) == (
            right.dtype, right.shape, repr(right), right.flags.writeable, right.flags.f_contiguous
        )  # fmt: skip
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(a, b) for one, other in zip(left.items(), right.items(), strict=True) for a, b in zip(one, other, strict=True)
        ) and getattr(left, "default_factory", None) == getattr(right, "default_factory", None)  # fmt: skip
    if isinstance(left, (list, tuple, collections.deque)):
        return len(left) == len(right) and all(map(same, left, right)) and repr(left) == repr(right)
    if isinstance(left, dt.datetime):
        return repr(left) == repr(right) and left.tzinfo == right.tzinfo
    if isinstance(left, BaseModel):
        return all(same(getattr(left, name), getattr(right, name)) for name in type(left).model_fields) and _beside(
            left
        ) == _beside(right)
    if dataclasses.is_dataclass(left):
        return repr(left) == repr(right) and repr(getattr(left, "__dict__", 0)) == repr(getattr(right, "__dict__", 0))
    return repr(left) == repr(right) or (not isinstance(left, decimal.Decimal) and left == right)


def _beside(model: BaseModel) -> Any:
    return repr(model.__pydantic_extra__), model.__pydantic_private__
