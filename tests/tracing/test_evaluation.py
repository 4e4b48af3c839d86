"""Two worked evaluations of an agent, without an account: with `langsmith.evaluate`, and with LangSmith's pytest plugin.

What people decided is the yardstick: does the model now propose what they made of its proposals?
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command
from langsmith import evaluate

from interlock import SQLCheckpointer, Workflow
from interlock.testing import ScriptedChatModel, call
from interlock.tracing import judged_proposals
from tests.tracing.support import ADA, BEN, Shop, config, edit_of

ROOT = Path(__file__).parents[2]


def _agent(amount: str) -> Workflow:
    """An agent that proposes this amount."""
    return Shop().flow(ScriptedChatModel(forever=call("order.charge", orderId="W1", amount=amount, card="1234")))


def _history(tmp_path: Path) -> Any:
    graph = _agent("50").compile(SQLCheckpointer(f"sqlite:///{tmp_path}/shop.db"))
    for number in range(3):
        thread = config(f"t-{number}")
        graph.invoke({"messages": [("user", "charge W1")]}, thread, context=ADA)
        graph.invoke(Command(resume=edit_of(orderId="W1", amount="40", card="1234")), thread, context=BEN)
    examples = [judged.to_example() for judged in judged_proposals(graph.engine.store)]
    graph.engine.store.close()
    return examples


def _proposed_by(amount: str) -> Any:
    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        output = _agent(amount).compile().invoke({"messages": [("user", "charge W1")]}, config(), context=ADA)
        asked = output["__interrupt__"][0].value
        return {"tool": asked["tool"], "arguments": asked["arguments"]}

    return target


def as_a_person_would(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
    """Whether the model proposes what a person made of its proposal before."""
    same = outputs["arguments"]["amount"] == reference_outputs["arguments"]["amount"]
    return {"key": "as_a_person_would", "score": float(same)}


def _score(amount: str, examples: Any) -> float:
    results = evaluate(
        _proposed_by(amount), data=examples, evaluators=[as_a_person_would], upload_results=False, max_concurrency=1
    )
    scores = [float(row["evaluation_results"]["results"][0].score or 0) for row in results]
    assert len(scores) == 3
    return sum(scores) / len(scores)


@pytest.mark.filterwarnings(
    "ignore:'upload_r(esults|uns)' parameter is in beta"
)  # its releases disagree about the name
def test_an_agent_is_evaluated_against_what_people_decided(tmp_path: Path) -> None:
    examples = _history(tmp_path)

    assert _score("50", examples) == 0.0
    assert _score("40", examples) == 1.0


def test_the_same_as_a_test_with_the_pytest_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_agent.py").write_text(
        textwrap.dedent(
            """
            from pathlib import Path
            import pytest
            from langsmith import testing
            from tests.tracing.test_evaluation import _history, _proposed_by

            EXAMPLES = _history(Path(__file__).parent)

            @pytest.mark.langsmith
            @pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.id))
            def test_the_agent_proposes_what_a_person_would(example):
                testing.log_inputs(example.inputs)
                testing.log_reference_outputs(example.outputs)
                outputs = _proposed_by("40")(example.inputs)
                testing.log_outputs(outputs)
                testing.log_feedback(key="tool", score=outputs["tool"] == example.inputs["tool"])
                assert outputs["arguments"]["amount"] == example.outputs["arguments"]["amount"]
            """
        )
    )
    environment = {
        **os.environ,
        "LANGSMITH_TEST_TRACKING": "false",
        "LANGSMITH_TRACING": "false",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "test_agent.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
