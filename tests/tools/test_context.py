"""What a tool function is given."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from interlock.tools import (
    ContextError,
    Event,
    Principal,
    ToolKind,
)
from tests.tools.support import context


class CaseData(BaseModel):
    queue_id: str | None = None


class CaseAssigned(Event, name="case.assigned"):
    case_id: str


def test_it_says_where_the_workflow_stands_and_who_asked() -> None:
    ctx = context(principal=Principal("ada", tenant="acme"), data=CaseData(), attempt=2)

    ctx.data.queue_id = "q-1"

    assert (ctx.workflow_id, ctx.state, ctx.revision, ctx.attempt) == ("wf_1", "open", 1, 2)
    assert (ctx.trace_id, ctx.audit_ref, ctx.idempotency_key) == ("trace_1", "audit_1", "key_1")
    assert (ctx.principal.id, ctx.tenant) == ("ada", "acme")
    assert ctx.data == CaseData(queue_id="q-1")


def test_without_a_principal_nobody_in_particular_asked() -> None:
    assert context().principal is Principal.ANONYMOUS
    assert context().data is None


def test_events_are_collected_in_order() -> None:
    ctx = context()

    ctx.emit(CaseAssigned(case_id="1"))
    ctx.emit(CaseAssigned(case_id="2"))

    assert ctx.emitted == [CaseAssigned(case_id="1"), CaseAssigned(case_id="2")]


def test_a_read_emits_nothing() -> None:
    ctx = context(ToolKind.READ)

    with pytest.raises(ContextError, match="declare the tool as a command"):
        ctx.emit(CaseAssigned(case_id="1"))

    assert ctx.emitted == []


@pytest.mark.parametrize("event", [{"case_id": "1"}, CaseAssigned, CaseData(), None])
def test_what_is_no_event_is_not_emitted(event: Any) -> None:
    with pytest.raises(ContextError, match=r"subclass of interlock\.Event"):
        context().emit(event)


def test_a_session_is_given_as_it_is() -> None:
    engine = create_engine("sqlite://")
    with Session(engine) as session:
        assert context(session=session).session is session
    engine.dispose()


def test_a_session_is_opened_when_it_is_first_asked_for_and_once() -> None:
    engine = create_engine("sqlite://")
    opened: list[Session] = []

    def open_session() -> Session:
        opened.append(Session(engine))
        return opened[-1]

    ctx = context(session=open_session)
    assert opened == []

    assert ctx.session.execute(text("select 1")).scalar() == 1
    assert [ctx.session] == opened

    opened[0].close()
    engine.dispose()


def test_where_there_is_no_session_the_error_says_what_to_do() -> None:
    with pytest.raises(ContextError, match="effect='transactional'"):
        context().session  # noqa: B018
    with pytest.raises(ContextError, match="it is kept in memory") as caught:
        context(no_session="it is kept in memory").session  # noqa: B018
    assert caught.value.code == "context_error"


def test_a_context_that_was_kept_cannot_be_used_after_its_tool_has_returned() -> None:
    ctx = context(session=lambda: pytest.fail("opened"))

    ctx.close()

    with pytest.raises(ContextError, match="after its tool had returned"):
        ctx.session  # noqa: B018
    with pytest.raises(ContextError, match="after its tool had returned"):
        ctx.emit(CaseAssigned(case_id="1"))


def test_an_async_session_is_given_by_its_own_name_and_a_plain_tool_is_told_which_is_its_own() -> None:
    asynchronous = SimpleNamespace(execute=None, sync_session=None)

    assert context(session=asynchronous).async_session is asynchronous
    with pytest.raises(ContextError, match=r"not async; ask for ctx\.session"):
        context(session=SimpleNamespace(execute=None)).async_session  # noqa: B018
