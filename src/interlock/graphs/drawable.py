"""The builder's pictures for notebooks and documents, and its errors for missing methods."""

import abc
from typing import TYPE_CHECKING, Any

from ..rules.definition import Definition
from ..tools.contracts.members import missing
from ..tools.errors import WorkflowDefinitionError

if TYPE_CHECKING:
    from ..pictures.picture import Picture

_RUNS = "A workflow runs once it is compiled: graph = workflow.compile(), and then graph.{}."
_INSTEAD = {
    **{
        name: _RUNS.format(name)
        for name in [
            "invoke",
            "ainvoke",
            "stream",
            "astream",
            "batch",
            "abatch",
            "get_state",
            "update_state",
            "get_graph",
            "with_config",
            "stepper",
            "instances",
            "engine",
        ]
    },
    "add_node": "Add a state: add_state(name, model=...), or with decide= for a function, or with node= for a LangGraph node.",
    "add_edges": "Call add_edge(source, tool, target) for each edge.",
    "add_sequence": "Call add_edge(source, tool, target) for each edge.",
    "add_conditional_edges": "Call add_edge(source, tool, target, guard=...) for each target, with order= where several have the same tool.",
    "set_entry_point": "A workflow starts in the state that is added first.",
    "set_conditional_entry_point": "A workflow starts in the state that is added first.",
    "set_finish_point": "Add the state as a final one: add_state(name, final=True).",
    "add_tool": "Tools that stay in a state are set by add_state(name, tools=[...]); a tool that leads on is an edge, add_edge(source, tool, target).",
    "bind_tools": "Tools that stay in a state are set by add_state(name, tools=[...]); a tool that leads on is an edge, add_edge(source, tool, target).",
}
"""Method names of LangGraph and LangChain, and their equivalents here."""


class Drawable(abc.ABC):
    """The part of a workflow that draws it."""

    @abc.abstractmethod
    def definition(self) -> Definition:
        """Return the workflow as plain data, after checking it and proving its claims."""

    def picture(self) -> "Picture":
        """Return the workflow as a picture. Notebooks display it; `picture().save("workflow.svg")` saves it.

        Raises:
            WorkflowDefinitionError: The workflow cannot work, and so cannot be drawn.
        """
        from ..pictures.picture import picture_of  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        return picture_of(self.definition())

    if not TYPE_CHECKING:  # hidden from type checkers, for which a wrong name has to stay an error

        def __getattr__(self, name: str) -> Any:
            raise missing(self, name, _INSTEAD)

    def to_mermaid(self) -> str:
        """Return the workflow as Mermaid text, for documents."""
        return self.picture().to_mermaid()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        try:
            return self.picture()._repr_mimebundle_()
        except WorkflowDefinitionError as error:  # still incomplete: a notebook shows it while it is written
            return {"text/plain": f"{self!r}, which cannot run yet: {error.message}"}


__all__ = ["Drawable"]
