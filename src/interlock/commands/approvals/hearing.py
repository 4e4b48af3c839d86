"""Reads answers in the chat: the next message of the person served decides on the question that they were asked.

Only the input of a run counts, from the principal whom the application names, and only for questions that the graph has shown before.
Messages in the conversation, results of tools and checkpoints are never read. Any other message closes the request, so that no later
"yes" can match an old question.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, Instance, approval_listing
from ...tools.approvals import Decision, DecisionKind
from ...tools.approvals.chat import Chat
from ...tools.contracts.yes_or_no import asked, odd_answer
from ...tools.errors import RuleError
from ...tools.ids import derive
from ...tools.principal import Principal
from ..proposals.withdrawing import withdrawn
from ..running.broken_rules import report
from ..running.engine import Engine
from ..running.scope import outside_scope
from .chat_question import SHOWN_IN_CHAT, chat_of, question
from .decisions import decide


def hear(
    engine: Engine, instance: Instance, by: Principal, messages: Sequence[BaseMessage], *, thread_id: object
) -> list[BaseMessage]:
    """Use the input of a run as the answer to the question in the chat.

    Args:
        engine: The workflow.
        instance: The instance of the run.
        by: The principal of the run, from the application.
        messages: Only the input of the run, without the earlier conversation.
        thread_id: The thread of the run; questions on other threads were not shown here.

    Returns:
        The answered questions, to be put before the answer in the conversation.
    """
    if not messages:
        return []
    with engine.store.read() as connection:
        waiting = _waiting(engine, connection, instance, by, thread_id)
    if not waiting:
        return []
    text = _text(messages)
    chats = [(one, chat) for one in waiting if (chat := chat_of(engine.definition, one)) is not None]
    answers = {_read(engine, instance, chat, text) for _, chat in chats}
    answer = answers.pop() if len(answers) == 1 else None
    if answer is True and len(chats) > 1 and not all(chat.together for _, chat in chats):
        answer = None
    with engine.store.write_and_know() as connection:
        for one, chat in chats:
            _settle(engine, connection, one, chat=chat, answer=answer, text=text, by=by)
    # Providers require the tool's answer directly after the call, so its text explains the real order.
    return [
        AIMessage(
            f"Before this I asked: {question(engine.definition, one)}", id=derive("msg", one.approval_id, "asked")
        )
        for one, _ in chats
    ]


def _waiting(
    engine: Engine, connection: Connection, instance: Instance, by: Principal, thread_id: object
) -> list[ApprovalRequest]:
    """The open questions for somebody in the chat of a thread."""
    if not any(_asks_in_chat(stage) for edge in engine.definition.edges for stage in _stages(edge)):
        return []  # the usual case: no questions in the chat
    return [
        one
        for one in approval_listing.pending(connection, instance.workflow_id)
        if one.rule.chat is not None
        and one.shown.get(SHOWN_IN_CHAT) is True
        and one.thread_id == thread_id
        and by.is_known
        and by.tenant == one.tenant
        and by.id == (instance.served or one.requester.id)
    ]


def _stages(edge: Any) -> tuple[Any, ...]:
    return () if edge.approval is None else edge.approval.stages


def _asks_in_chat(stage: Any) -> bool:
    return stage.chat is not None


def _text(messages: Sequence[BaseMessage]) -> str | None:
    """The text of a run's single input message; None for several messages, or anything but a person's plain text."""
    if len(messages) != 1 or not isinstance(messages[0], HumanMessage) or not isinstance(messages[0].content, str):
        return None
    return messages[0].content


def _read(engine: Engine, instance: Instance, chat: Chat, text: str | None) -> bool | None:
    if text is None:
        return None
    rule = f"the reader of a confirmation in the chat of {engine.definition.name}"
    try:
        answer = asked(rule, lambda: chat.reader(text))
        if answer is None or answer is True or answer is False:
            return answer
        raise odd_answer(rule, answer, "return True for a yes, False for a no, and None for anything else")
    except RuleError as error:  # an error is not a yes
        report(error, instance)
        return None


def _settle(
    engine: Engine,
    connection: Connection,
    approval: ApprovalRequest,
    *,
    chat: Chat,
    answer: bool | None,
    text: str | None,
    by: Principal,
) -> None:
    said = (text or "").strip()[:1_000] or "something else"
    if answer is None and chat.otherwise == "withdraw":
        withdrawn(engine, connection, approval, by)
        return
    kind = {True: DecisionKind.APPROVE, False: DecisionKind.REJECT, None: DecisionKind.RESPOND}[answer]
    decision = Decision(kind, message=said, seen=approval.effective_arguments)
    # A declined decision is recorded with its reason, and the run gets the state of the request.
    decide(engine, connection, approval.approval_id, decision, by=by, scope=outside_scope(approval.workflow_id, by))


__all__ = ["hear"]
