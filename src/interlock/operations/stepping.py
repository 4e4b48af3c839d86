"""Runs a workflow step by step, and shows it after each step."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

from langgraph.types import Command

from ..pictures.picture import Picture
from ..pictures.svg import STEPS
from ..pictures.told_steps import next_of, steps_of, waits_of
from ..tools.principal import Principal
from ..tools.sinks import line
from .compiled import CompiledWorkflow, Config
from .instances import Instances

_SHOWN = 12
"""The number of steps shown below a picture."""


class Stepper:
    """Runs one thread of a workflow one step at a time; created by `graph.stepper(config)`.

    A step is one node of the graph: a model's answer, one tool, one approval. In a notebook, the stepper shows the workflow with
    the current state highlighted, the steps so far, the next step, and who has to act.

    Args:
        graph: The compiled workflow.
        config: The config of the thread.
        context: The principal who acts and looks. Without one, the application itself looks, and an anonymous principal acts.
    """

    def __init__(self, graph: CompiledWorkflow, config: Config, context: Principal | None = None) -> None:
        self._graph = graph
        self._config = config
        self._context = context
        self.last: dict[str, Any] = {}
        """The output of the last step: the channels of the graph."""
        self.steps: list[str] = []
        """The steps so far in words: messages, proposals, denials, answers and executions."""
        self._known = 0

    def say(self, text: str, **started: Any) -> "Stepper":
        """Start a turn with a message, and take the first step; `data=` is the data of a new instance."""
        return self._take({"messages": [("user", text)], **started})

    async def asay(self, text: str, **started: Any) -> "Stepper":
        """Asynchronous form of `say`, with the same arguments, result and errors."""
        return await self._atake({"messages": [("user", text)], **started})

    def step(self) -> "Stepper":
        """Take the next step; do nothing if there is none."""
        return self._take(None) if self.next else self

    async def astep(self) -> "Stepper":
        """Asynchronous form of `step`, with the same arguments, result and errors."""
        return await self._atake(None) if await self.anext() else self

    def answer(self, answer: Any, *, by: Principal | None = None) -> "Stepper":
        """Answer what the thread waits for, as `Command(resume=...)` does, and take the next step.

        Args:
            answer: The answer, in any shape that a resume accepts.
            by: The principal who answers; by default the stepper's.
        """
        return self._take(Command(resume=answer), by)

    async def aanswer(self, answer: Any, *, by: Principal | None = None) -> "Stepper":
        """Asynchronous form of `answer`, with the same arguments, result and errors."""
        return await self._atake(Command(resume=answer), by)

    @property
    def next(self) -> tuple[str, ...]:
        """The nodes that come next; empty when the turn is over."""
        return self._graph.get_state(self._config, by=self._context).next

    async def anext(self) -> tuple[str, ...]:
        """Asynchronous form of `next`, with the same arguments, result and errors."""
        return (await self._graph.aget_state(self._config, by=self._context)).next

    @property
    def waits_for(self) -> tuple[Any, ...]:
        """The values of the pending interrupts."""
        return tuple(one.value for one in self._graph.get_state(self._config, by=self._context).interrupts)

    async def awaits_for(self) -> tuple[Any, ...]:
        """Asynchronous form of `waits_for`, with the same arguments, result and errors."""
        state = await self._graph.aget_state(self._config, by=self._context)
        return tuple(one.value for one in state.interrupts)

    def run(self) -> Iterator["Stepper"]:
        """Step until the turn is over or somebody has to answer; yields the stepper after each step."""
        while self.next and not self.waits_for:
            yield self.step()

    async def arun(self) -> AsyncIterator["Stepper"]:
        """Asynchronous form of `run`, with the same arguments, result and errors."""
        while await self.anext() and not await self.awaits_for():
            yield await self.astep()

    def watch(self, show: Callable[["Stepper"], object] | None = None) -> None:
        """Run as `run` does, and show the state after each step, for long runs.

        Args:
            show: A function that is called with the stepper, first before and then after each step. By default, a notebook's picture changes
                in place; elsewhere each step prints a line.
        """
        show = show or _screen()
        show(self)
        for stepper in self.run():
            show(stepper)

    async def awatch(self, show: Callable[["Stepper"], object] | None = None) -> None:
        """As `watch`; `show` is called in a thread, because it may read the thread's state itself."""
        show = show or _screen()
        await asyncio.to_thread(show, self)
        async for stepper in self.arun():
            await asyncio.to_thread(show, stepper)

    def picture(self) -> Picture:
        """The workflow with the current state highlighted."""
        return self._with_steps(
            Instances(self._graph).picture(self._config, by=self._context), self._ahead(self.next, self.waits_for)
        )

    async def apicture(self) -> Picture:
        """Asynchronous form of `picture`, with the same arguments, result and errors."""
        return self._with_steps(
            await Instances(self._graph).apicture(self._config, by=self._context),
            self._ahead(await self.anext(), await self.awaits_for()),
        )

    def _with_steps(self, picture: Picture, ahead: str) -> Picture:
        """The picture with the last steps below it."""
        if picture.standing is None:
            return picture
        first = max(0, len(self.steps) - _SHOWN)
        lines = [f"{number}. {step}" for number, step in enumerate(self.steps[first:], first + 1)]
        heading = STEPS if first == 0 else f"{STEPS}, the last {_SHOWN}"
        told = (heading, *lines, ahead)
        return replace(picture, standing=replace(picture.standing, told=told))

    def _ahead(self, following: tuple[str, ...], awaited: tuple[Any, ...]) -> str:
        """What the next nodes do, or what is waited for, in words."""
        if awaited:
            return f"waits for {' and '.join(map(waits_of, awaited))}"
        definition = self._graph.engine.definition
        return (
            f"next: {', '.join(next_of(definition, node) for node in following)}" if following else "the turn is over"
        )

    def _take(self, given: Any, by: Principal | None = None) -> "Stepper":
        self.last = self._graph.invoke(given, self._config, context=by or self._context, interrupt_after="*")
        return self._note(given, by)

    async def _atake(self, given: Any, by: Principal | None = None) -> "Stepper":
        self.last = await self._graph.ainvoke(given, self._config, context=by or self._context, interrupt_after="*")
        return self._note(given, by)

    def _note(self, given: Any, by: Principal | None) -> "Stepper":
        """Record the effects of the step."""
        if isinstance(given, Command):
            who = by or self._context or Principal.ANONYMOUS
            kind = given.resume.get("type") if isinstance(given.resume, dict) else given.resume
            self.steps.append(line(f"{who.id} answers: {kind}"))
        messages = self.last.get("messages") or []
        self.steps += steps_of(self._graph.engine.definition, messages, self._known)
        self._known = len(messages)
        return self

    def __str__(self) -> str:
        """Its state, and what comes next."""
        steps = [f"  {number}. {step}" for number, step in enumerate(self.steps, 1)]
        return "\n".join([str(self.picture()), *steps, self._ahead(self.next, self.waits_for)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"image/svg+xml": self.picture().svg, "text/plain": str(self)}


def _screen() -> Callable[[Stepper], object]:
    try:
        from IPython import get_ipython  # noqa: PLC0415 -- there only where a notebook is
        from IPython.display import display  # noqa: PLC0415
    except ImportError:
        return _line
    if get_ipython() is None:
        return _line
    put: Any = display
    shown: Any = None

    def show(stepper: Stepper) -> None:
        nonlocal shown
        if shown is None:
            shown = put(stepper, display_id=True)
        else:
            shown.update(stepper)

    return show


def _line(stepper: Stepper) -> None:
    first, *_, last = str(stepper).splitlines()
    sys.stdout.write(f"{first}; {last}\n")
