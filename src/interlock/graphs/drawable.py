"""A workflow as a picture: in notebooks and documents."""

import abc
from typing import TYPE_CHECKING, Any

from ..rules.definition import Definition
from ..tools.errors import WorkflowDefinitionError

if TYPE_CHECKING:
    from ..pictures.picture import Picture


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

    def to_mermaid(self) -> str:
        """Return the workflow as Mermaid text, for documents."""
        return self.picture().to_mermaid()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        try:
            return self.picture()._repr_mimebundle_()
        except WorkflowDefinitionError as error:  # half built: a notebook shows it as it grows
            return {"text/plain": f"{self!r}, which cannot run yet: {error.message}"}


__all__ = ["Drawable"]
