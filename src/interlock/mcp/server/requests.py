"""Answers the protocol's requests for their callers: the SDK's low-level server with a handler for every method."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError

from ..._version import __version__
from ...tools.errors import InputError, InterlockError, PrincipalError
from ...tools.principal import Principal
from ...tracing.continuing import continuing
from ..meta import TRACEPARENT
from .answers import answered
from .calls import Calls, Waiting, internal, refused
from .catalog import Catalog
from .completions import completions
from .identity import Caller, PrincipalSource, principal_of
from .limits import Meter, ServerLimits
from .material import OwnPrompts, OwnResources, ServedPrompt, ServedResource
from .progress import progress_told
from .prompts import Prompts
from .resources import Resources, not_found
from .tasks import EXTENSION, TaskParams, Tasks, UpdateParams, declares

Context = ServerRequestContext[Any, Any]
_Params = TypeVar("_Params")
_Result = TypeVar("_Result")

LIST_TTL_MS = 300_000
"""How long a client may cache a list, which changes only with a release of the workflow."""
INSTRUCTIONS = (
    "These tools act on instances of a workflow. Start one, and keep its workflowId. Each result has the revision to give as expectedRevision with the "
    "next call, and the tools that may be called next. When an answer was lost, send the same call again: it is carried out once, and its stored result "
    "is given. A call that the workflow does not allow now is denied, and its error says what to do. A result whose ok is null waits for a person's "
    "decision, which no tool here can take: ask with the proposal tool what became of it. After a rejection, an expiry or a withdrawal, the same call asks "
    "again only with a new idempotencyKey or revision."
)
_LISTS = ("tools/list", "resources/list", "resources/templates/list", "prompts/list", "server/discover")


def caller_of(context: Context) -> Caller:
    """The known facts of a request's sender."""
    request = context.request
    user = None if request is None else request.scope.get("user")
    claims = user.access_token.claims if isinstance(user, AuthenticatedUser) else None
    return Caller(claims=claims, request=request)


class Requests:
    """Answers requests, each for its caller.

    Args:
        source: Identifies the caller of a request.
        limits: The limits per caller.
        meter: Counts the requests.
    """

    def __init__(self, source: PrincipalSource, meter: Meter) -> None:
        self._source = source
        self._meter = meter

    def handler(
        self, answer: Callable[[Context, _Params, Principal], Awaitable[_Result]]
    ) -> Callable[[Context, _Params], Awaitable[_Result]]:
        """Make a handler that determines and counts the caller first, and translates all errors."""

        async def handle(context: Context, params: _Params) -> _Result:
            try:
                by = principal_of(self._source, caller_of(context))
                self._meter.request(by)
                with continuing((context.meta or {}).get(TRACEPARENT)):
                    return await answer(context, params, by)
            except MCPError:
                raise
            except InterlockError as error:
                raise refused(error) from error
            except Exception as error:
                raise internal(error) from error

        return handle


def build(
    catalog: Catalog,
    source: PrincipalSource,
    limits: ServerLimits,
    meter: Meter,
    *,
    name: str,
    instructions: str | None,
    resources: Iterable[ServedResource] = (),
    prompts: Iterable[ServedPrompt] = (),
) -> Server[Any]:
    """Build the server of workflows.

    Args:
        catalog: The workflows and their tools.
        source: Identifies the caller of a request.
        limits: The limits per caller.
        meter: Counts the requests.
        name: The name that clients show.
        instructions: Instructions for the clients' models about the tools as a whole.
        resources: The application's own resources.
        prompts: The application's own prompts.
    """
    requests, calls = Requests(source, meter), Calls(catalog, limits, meter)
    of_workflows, states, tasks = Resources(catalog), Prompts(catalog), Tasks(catalog, calls)
    own_resources, own_prompts = OwnResources(resources), OwnPrompts(prompts, states.names)

    async def list_tools(context: Context, params: Any, by: Principal) -> types.ListToolsResult:
        one_page(params)
        del context, by
        return types.ListToolsResult(tools=catalog.listed)

    async def call_tool(context: Context, params: types.CallToolRequestParams, by: Principal) -> Any:
        _check_capabilities(context, catalog, params.name)
        async with progress_told(context):
            given = await calls.call(params.name, dict(params.arguments or {}), by)
        if not isinstance(given, Waiting):
            return given
        if given.is_new and declares(context):
            return await tasks.created(given)
        return answered(given.workflow, given.pending.to_json())

    async def list_resources(context: Context, params: Any, by: Principal) -> types.ListResourcesResult:
        one_page(params)
        del context, by
        return types.ListResourcesResult(resources=[*of_workflows.listed(), *own_resources.listed()])

    async def list_templates(context: Context, params: Any, by: Principal) -> types.ListResourceTemplatesResult:
        one_page(params)
        del context, by
        return types.ListResourceTemplatesResult(
            resource_templates=[*of_workflows.templates(), *own_resources.templates()]
        )

    async def read(
        context: Context, params: types.ReadResourceRequestParams, by: Principal
    ) -> types.ReadResourceResult:
        del context
        try:
            found = await own_resources.read(params.uri, by)
        except (InputError, PrincipalError) as error:  # the application has no such resource for them
            raise not_found(params.uri) from error
        contents, is_same = found or await of_workflows.read(params.uri, by)
        return types.ReadResourceResult(
            contents=[contents],
            ttl_ms=LIST_TTL_MS if is_same else 0,
            cache_scope="public" if is_same else "private",
        )

    async def list_prompts(context: Context, params: Any, by: Principal) -> types.ListPromptsResult:
        one_page(params)
        del context, by
        return types.ListPromptsResult(prompts=[*states.listed(), *own_prompts.listed()])

    async def get_prompt(
        context: Context, params: types.GetPromptRequestParams, by: Principal
    ) -> types.GetPromptResult:
        del context
        found = await own_prompts.get(params.name, params.arguments or {}, by)
        return found or await states.get(params.name, params.arguments or {}, by)

    async def complete(context: Context, params: types.CompleteRequestParams, by: Principal) -> types.CompleteResult:
        del context
        found = await completions(catalog, params, by)
        return types.CompleteResult(completion=types.Completion(values=found, has_more=False))

    server: Server[Any] = Server(
        name,
        version=__version__,
        instructions=INSTRUCTIONS if instructions is None else instructions,
        cache_hints={method: CacheHint(ttl_ms=LIST_TTL_MS, scope="public") for method in _LISTS},  # type: ignore[misc]
        get_tool_input_schema=lambda tool: (
            None if tool not in catalog.tools else catalog.tools[tool].listed.input_schema
        ),
        on_list_tools=requests.handler(list_tools),
        on_call_tool=requests.handler(call_tool),
        on_list_resources=requests.handler(list_resources),
        on_list_resource_templates=requests.handler(list_templates),
        on_read_resource=requests.handler(read),
        on_list_prompts=requests.handler(list_prompts),
        on_get_prompt=requests.handler(get_prompt),
        on_completion=requests.handler(complete),
    )
    server.extensions[EXTENSION] = {}
    server.add_request_handler("tasks/get", TaskParams, requests.handler(tasks.get))
    server.add_request_handler("tasks/update", UpdateParams, requests.handler(tasks.update))
    server.add_request_handler("tasks/cancel", TaskParams, requests.handler(tasks.cancel))
    return server


def one_page(params: Any) -> None:
    """Refuse a cursor, because no list has a second page.

    Raises:
        MCPError: One was given.
    """
    if getattr(params, "cursor", None) is not None:
        raise MCPError(types.INVALID_PARAMS, "Invalid cursor: the list has one page, which begins without a cursor.")


def _check_capabilities(context: Context, catalog: Catalog, name: str) -> None:
    """Refuse the call of a client without the tool's required capabilities, before the gate, so that no proposal is created.

    Raises:
        MCPError: The client does not declare a required capability.
    """
    tool = catalog.tools.get(name)
    if tool is None or tool.requires is None:
        return
    declared = context.session.client_capabilities
    has = {} if declared is None else declared.model_dump(by_alias=True, mode="json", exclude_none=True)
    if lacks(tool.requires, has):
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"{name} takes a client with more capabilities than this one declares. Nothing was done.",
            {"requiredCapabilities": tool.requires},
        )


def lacks(required: Mapping[str, Any], declared: Any) -> bool:
    """Whether a client lacks any of the required capabilities, at any depth."""
    if not isinstance(declared, Mapping):
        return True
    return any(
        name not in declared or (isinstance(one, Mapping) and lacks(one, declared[name]))
        for name, one in required.items()
    )


__all__ = ["Requests", "build", "caller_of", "lacks", "one_page"]
