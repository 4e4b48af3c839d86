"""Stores the texts of the person served at the start of an agent's turn."""

from ...commands.origins.capturing import is_kept, keep_words
from ...commands.origins.given import said_in_this_run
from ...commands.running.engine import Engine
from ...commands.running.operations import InStore, Look, Steps
from ...commands.running.scope import Scope
from ...nodes.execution import until_checkpointed
from ...tools.principal import Principal


def keep_user_texts(engine: Engine, scope: Scope, principal: Principal, *, enters: bool) -> Steps[None]:
    """Store the texts in this run's input, if a policy traces arguments.

    An agent's state is not trusted; the input is read from the run's first checkpoint, which the durability `exit` does not write.

    Args:
        engine: The workflow.
        scope: The scope of the turn.
        principal: The principal of the turn.
        enters: Whether a turn starts.
    """
    if not enters or not is_kept(engine.definition, principal) or scope.durability == "exit":
        return
    yield from until_checkpointed(scope, "the agent's model")
    texts = yield Look(lambda: said_in_this_run(scope.checkpointer, scope.config.get("configurable", {})))
    if texts:
        yield InStore(lambda connection: keep_words(engine, connection, scope.workflow_id, principal, texts))


__all__ = ["keep_user_texts"]
