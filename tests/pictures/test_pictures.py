"""A workflow shows itself as a picture, offline, the same everywhere, and as text where there are no pictures."""

import itertools
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import Approval, Workflow, command, read
from interlock.pictures.layout import Size, lay_out
from interlock.testing import ScriptedChatModel, call

SVG = "{http://www.w3.org/2000/svg}"


class Done(BaseModel):
    ok: bool = True


class Data(BaseModel):
    amount: int = 0


@read("order.get")
def get_order(order_id: str) -> Done:
    """Look."""
    return Done()


@command("order.refund", effect="transactional")
def refund(order_id: str) -> Done:
    """Refund <all> & more."""
    return Done()


@command("order.close", effect="transactional")
def close(order_id: str) -> Done:
    """Close."""
    return Done()


def is_large(view: Any) -> bool:
    return bool(view.data.amount > 10)


def desk() -> Workflow:
    model = ScriptedChatModel([call("order.get", orderId="1"), call("order.close", orderId="1"), "done"])
    workflow = Workflow("desk", model=model, data=Data)
    workflow.add_state("open", tools=[get_order])
    workflow.add_state("checked", tools=[get_order])
    workflow.add_state("closed", final=True)
    workflow.add_edge("open", refund, "closed", approval=Approval(role="lead"), guard=is_large)
    workflow.add_edge("open", close, "checked")
    workflow.add_edge("checked", close, "closed")
    workflow.add_edge("checked", refund, "open")
    return workflow


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_names_every_state_and_every_tool_with_who_is_asked_and_what_guards_it() -> None:
    written = texts(desk().picture().svg)

    assert {"open", "checked", "closed", "order.get", "order.refund", "order.close"} <= set(written)
    assert {"approval by lead", "if is_large", "a person decides"} <= set(written)


def test_a_picture_needs_no_style_sheet_script_link_or_font_of_its_own() -> None:
    svg = desk().picture().svg

    root = ET.fromstring(svg)
    names = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert names <= {"svg", "title", "rect", "path", "circle", "text"}
    assert not re.search(r" (class|style|id|href|onclick)=", svg)
    assert svg.count("http") == 1  # the name space


def test_a_picture_is_the_same_text_every_time() -> None:
    assert desk().picture().svg == desk().picture().svg


def test_a_notebook_is_offered_the_picture_and_text_and_nothing_that_it_would_rather_show() -> None:
    workflow = desk()
    for thing in (workflow, workflow.compile(), workflow.picture()):
        bundle = thing._repr_mimebundle_()
        assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert "open: order.get, order.refund -> closed (approval by lead), order.close -> checked" in str(
        workflow.picture()
    )


def test_a_half_built_workflow_shows_what_is_missing_instead_of_breaking_the_notebook() -> None:
    workflow = Workflow("half", model=ScriptedChatModel([]))
    workflow.add_state("open")

    bundle = workflow._repr_mimebundle_()

    assert "has no way out" in bundle["text/plain"]


def test_the_picture_of_an_instance_lights_where_it_stands_and_says_why_the_rest_may_not_be_called() -> None:
    graph = desk().compile()
    config: Any = {"configurable": {"thread_id": "t"}}
    graph.invoke({"messages": [("user", "x")]}, config)

    picture = graph.instances.picture(config)

    assert picture.standing is not None
    assert (picture.standing.state, picture.standing.visited) == ("checked", {"open"})
    assert picture.standing.allowed == {"order.get", "order.close", "order.refund"}
    assert "now" in texts(picture.svg)
    assert "open ✓" in texts(picture.svg)
    assert "now in checked" in str(picture)

    graph.instances.execute(config, "order.refund", {"orderId": "1"})
    assert "not is_large" in texts(graph.instances.picture(config).svg)


def test_names_cannot_break_out_of_the_picture() -> None:
    @command("order.wipe", effect="transactional", wire_name="wipe", description="</svg><script>")
    def wipe(order_id: str) -> Done:
        return Done()

    workflow = Workflow("desk", model=ScriptedChatModel([]))
    workflow.add_state("open")
    workflow.add_state("closed", final=True)
    workflow.add_edge("open", wipe, "closed", guard=lambda view: view.revision < 3)

    assert "script" not in workflow.picture().svg


def test_a_picture_can_be_saved(tmp_path: Path) -> None:
    path = desk().picture().save(tmp_path / "desk.svg")

    ET.parse(path)


def test_mermaid_text_comes_from_the_same_drawing() -> None:
    assert "order.refund [is_large] (approval by lead)" in desk().to_mermaid()


@pytest.mark.parametrize("seed", range(12))
def test_nothing_overlaps_in_the_layout_of_thirty_states(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"s{number}" for number in range(30)]
    boxes = {name: Size(chance.randint(60, 260), chance.randint(30, 160)) for name in names}
    arrows = {(left, right): Size(90, 20) for left, right in itertools.pairwise(names)}
    for _ in range(16):
        left, right = chance.sample(names, 2)
        arrows[left, right] = Size(chance.randint(40, 160), 20)

    layout = lay_out(boxes, arrows)

    placed = [(*layout.boxes[name], boxes[name]) for name in names]
    placed += [(*layout.labels[arrow], arrows[arrow]) for arrow in arrows]
    for (x, y, one), (other_x, other_y, other) in itertools.combinations(placed, 2):
        apart_beside = abs(x - other_x) >= (one.width + other.width) / 2 - 0.01
        apart_below = abs(y - other_y) >= (one.height + other.height) / 2 - 0.01
        assert apart_beside or apart_below
    for x, y, size in placed:
        assert x - size.width / 2 >= -0.01
        assert x + size.width / 2 <= layout.width + 0.01
        assert y - size.height / 2 >= -0.01
        assert y + size.height / 2 <= layout.height + 0.01


def test_arrows_lead_from_the_edge_of_their_source_to_the_edge_of_their_target() -> None:
    boxes = {"a": Size(100, 40), "b": Size(100, 40), "c": Size(100, 40)}
    label = Size(60, 16)
    layout = lay_out(boxes, {("a", "b"): label, ("b", "c"): label, ("c", "a"): label})

    for (source, target), points in layout.arrows.items():
        assert abs(points[0][1] - layout.boxes[source][1]) == pytest.approx(20)
        assert abs(points[-1][1] - layout.boxes[target][1]) == pytest.approx(20)
