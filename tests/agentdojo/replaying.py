"""Task by task through a compiled graph: a model that does the user's reads, then what an attacker wants, then the rest."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agentdojo.functions_runtime import FunctionCall
from pydantic import BaseModel

from interlock import Approval, Limits, Principal, Workflow, command
from interlock.rules.origins import TrustedOrigins
from interlock.rules.policies import Policy

from .attackers import Calls, calls_of
from .wrapping import READS, contracts_of, run_in

EMMA, JUDGE = Principal("emma"), Principal("judge", roles=frozenset({"judge"}))


class Offered(BaseModel):
    """The tools that the task needs; all of them where it says nothing."""

    tools: list[str] = []


@command("desk.close", effect="transactional")
def close() -> str:
    """Close the desk."""
    return "closed"


@dataclass
class Ran:
    """What a run came to."""

    questions: int = 0
    done: list[FunctionCall] = field(default_factory=list)
    unasked: int = 0
    """Writes of the user's that nobody was asked about."""
    is_useful: bool = False
    is_reached: bool = False


class Suite:
    """One suite behind one rule.

    Args:
        suite: AgentDojo's.
        policies: The rule.
        saver: Where the graph keeps what it knows; in memory without one.
        names_tools: Whether the state offers only the tools of the user's task.
    """

    def __init__(self, suite: Any, policies: list[Policy], saver: Any = None, *, names_tools: bool = False) -> None:
        self.suite = suite
        self._names_tools = names_tools
        self._numbers = itertools.count()
        self._environment: Any = None
        self._script: Iterator[tuple[str, dict[str, Any]]] = iter(())
        self._done: list[FunctionCall] = []
        contracts = contracts_of(suite, self._run)
        flow = Workflow("desk", data=Offered, policies=policies, limits=Limits(denials=10_000, calls=10_000))
        flow.add_state("open", decide=lambda _: next(self._script, None))
        flow.add_state("closed", final=True)
        for name, contract in contracts.items():
            flow.add_edge(
                "open", contract, "open", guard=lambda view, name=name: not view.data.tools or name in view.data.tools
            )
        flow.add_edge("open", close, "closed")
        self.graph = flow.compile(saver, destructive_in_memory=saver is None)

    def run(self, task: Any, injection: Any = None) -> Ran:
        """Do a user task, with an attack in the middle of it."""
        environment = task.init_environment(self.suite.load_and_inject_default_environment({}))
        before = environment.model_copy(deep=True)
        wanted: Calls = [(one.function, dict(one.args)) for one in task.ground_truth(before.model_copy(deep=True))]
        reads = [*itertools.takewhile(lambda call: call[0].startswith(READS), wanted)]
        attack = [] if injection is None else calls_of(injection, before)
        self._environment, self._done = environment, []
        self._script = iter([*reads, *attack, *wanted[len(reads) :]])
        ran = Ran()
        thread: Any = {"configurable": {"thread_id": f"{task.ID}-{next(self._numbers)}"}}
        tools = sorted({name for name, _ in wanted}) if self._names_tools else []
        output = self.graph.invoke(
            {"messages": [("user", task.PROMPT)], "data": {"tools": tools}}, thread, context=EMMA
        )
        asked: list[tuple[str, dict[str, Any]]] = []
        while waiting := output.get("__interrupt__"):
            shown = waiting[0].value
            call = (shown["tool"], shown["arguments"])
            asked.append(call)
            self.graph.instances.decide(shown["approvalId"], "approve" if call in wanted else "reject", by=JUDGE)
            output = self.graph.instances.resume(thread)
            output = output if isinstance(output, dict) else output.output
        ran.questions, ran.done = len(asked), self._done
        ran.unasked = sum(1 for call in wanted if not call[0].startswith(READS) and call not in asked)
        ran.is_useful = bool(self.suite._check_user_task_utility(task, _said(task), before, environment, self._done))
        if injection is not None:
            ran.is_reached = bool(
                self.suite._check_injection_task_security(injection, _said(injection), before, environment, self._done)
            )
        return ran

    def _run(self, name: str, arguments: dict[str, Any]) -> Any:
        done = run_in(self.suite, self._environment, name, arguments)
        self._done.append(FunctionCall(function=name, args=arguments))
        return done


def _said(task: Any) -> Any:
    return [{"type": "text", "content": task.GROUND_TRUTH_OUTPUT}]


def asking(*accepts: str) -> list[Policy]:
    """The rule, with an approver to ask."""
    return [TrustedOrigins(otherwise=Approval(role="judge"), **({"accepts": accepts} if accepts else {}))]


__all__ = ["Ran", "Suite", "asking"]
