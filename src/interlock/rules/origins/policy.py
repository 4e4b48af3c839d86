"""`TrustedOrigins`: requires an approval for arguments with untrusted origins, or denies them."""

from collections.abc import Iterable, Iterator, Mapping

from ...tools.approvals import Approval
from ...tools.canonical import JSON
from ...tools.contracts import ToolContract
from ...tools.errors import ContractError
from ...tools.kinds import ToolKind
from ...tools.origins import MarkKind
from ...tools.origins.contracts import input_fields
from ..policies import Allow, Deny, Policy, ProposalView, RequireApproval, Ruling
from .index import Origin, least_trusted
from .tracing import IN_WORDS, Traced, traced

DEFAULT = (Origin.USER, Origin.APP, Origin.RECORD)


class TrustedOrigins(Policy):
    """Allow a command without approval only if each of its arguments comes from an accepted origin.

    In an argument that is marked as `Content`, only addresses, links and codes are traced. Destructive tools always require an
    approval.

    Args:
        tools: The tools that the policy applies to; by default all commands and events, and the reads with an argument that is marked as
            `Reaches`, because they send what they look up to a recipient.
        accepts: The accepted origins.
        arguments: Other accepted origins for some arguments, by `tool:argument`, such as `{"mail.send:cc.*": ["user"]}`.
        otherwise: The approval to require; None denies the call.
        name: The name in messages and records.

    Raises:
        ContractError: The policy applies to no tool, or an accepted origin does not exist.
    """

    def __init__(
        self,
        tools: Iterable[ToolContract | str] | None = None,
        *,
        accepts: Iterable[Origin | str] = DEFAULT,
        arguments: Mapping[str, Iterable[Origin | str]] | None = None,
        otherwise: Approval | None = None,
        name: str = "",
    ) -> None:
        self.name = name
        self.tools = None if tools is None else frozenset(getattr(tool, "name", str(tool)) for tool in tools)
        if self.tools is not None and not self.tools:
            raise ContractError("TrustedOrigins is about no tool; name those that it is about, or leave tools= out.")
        self.accepts = _origins(accepts)
        self.arguments = {place: _origins(origins) for place, origins in (arguments or {}).items()}
        if wrong := [place for place in self.arguments if not all(place.partition(":")[::2])]:
            raise ContractError(
                f"TrustedOrigins(arguments=...) has {wrong[0]!r}; write it as tool:argument, such as 'mail.send:to'."
            )
        self.otherwise = otherwise

    def covers(self, tool: ToolContract) -> bool:
        """Whether the policy applies to a tool."""
        if self.tools is not None:
            return tool.name in self.tools
        return tool.kind is not ToolKind.READ or any(
            field.mark is not None and field.mark.kind is MarkKind.REACHES for field in input_fields(tool)
        )

    def may_require_approval(self, tool: ToolContract) -> bool:
        """Whether the policy may require an approval for this tool, instead of denying it."""
        return self.otherwise is not None and self.covers(tool)

    def stamp(self) -> JSON:
        """The policy with all its arguments."""
        return [
            self.label,
            self.version,
            None if self.tools is None else [*sorted(self.tools)],
            [*sorted(self.accepts)],
            {place: [*sorted(origins)] for place, origins in sorted(self.arguments.items())},
            None if self.otherwise is None else self.otherwise.to_json(),
        ]

    def judge(self, proposal: ProposalView) -> Ruling:
        """Require an approval, or deny, if a value has another origin."""
        if not self.covers(proposal.tool):
            return Allow()
        accepted: dict[str, Origin] = {}
        origins: dict[str, Origin] = {}
        reasons = [*self._against(proposal, accepted, origins)]
        if not reasons:
            return Allow(_origin_names(accepted))
        said = "; ".join(reasons)
        if self.otherwise is None:
            return Deny(said, origins=_origin_names(origins))
        return RequireApproval(self.otherwise, said, _origin_names(origins))

    def accepts_from(self, tool: ToolContract, one: Traced) -> bool:
        """Whether the policy accepts the origin of this argument; for a tool that it does not apply to, it accepts any."""
        if not self.covers(tool):
            return True
        return not one.is_secret and one.origin in self.arguments.get(f"{tool.name}:{one.label}", self.accepts)

    def _against(
        self, proposal: ProposalView, accepted: dict[str, Origin], origins: dict[str, Origin]
    ) -> Iterator[str]:
        """Yield the reasons against a call; fills `accepted` and `origins` with the least trusted origin of each argument."""
        if proposal.tool.is_marked_destructive:
            yield "it cannot be undone"
        sources = None if proposal.sources is None else proposal.sources()
        if sources is None:
            yield "nothing is known of where its arguments come from"
            return
        for one in traced(proposal.tool, proposal.arguments, sources):
            if one.is_secret:
                yield f"the argument {one.label} holds a value of a sensitive field"
                continue
            is_accepted = self.accepts_from(proposal.tool, one)
            told = accepted if is_accepted else origins
            told[one.label] = least_trusted([one.origin, told.get(one.label, one.origin)])
            if not is_accepted:
                yield f"the value of the argument {one.label} comes from {IN_WORDS[one.origin]}"


def _origin_names(origins: Mapping[str, Origin]) -> dict[str, str]:
    return {name: origin.value for name, origin in origins.items()}


def _origins(given: Iterable[Origin | str]) -> frozenset[Origin]:
    try:
        return frozenset(Origin(one) for one in ([given] if isinstance(given, str) else given))
    except ValueError as error:
        raise ContractError(f"TrustedOrigins: {error}; give some of {', '.join(Origin)}.") from None


__all__ = ["DEFAULT", "TrustedOrigins"]
