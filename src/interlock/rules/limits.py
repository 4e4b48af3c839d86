"""Ready-made policies: limits per run and per period, spending caps, roles, working hours."""

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..tools.approvals import Approval, duration
from ..tools.canonical import JSON, amount_in, as_amount
from ..tools.contracts import ToolContract
from ..tools.errors import ContractError
from .policies import Allow, Deny, History, Per, Policy, ProposalView, RequireApproval, Ruling

if TYPE_CHECKING:
    from .view import GuardView

Tools = Iterable[ToolContract | str]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class _About(Policy):
    """A policy for some tools that denies a call or, if configured, requires an approval instead."""

    def __init__(self, tools: Tools, *, otherwise: Approval | None = None, name: str = "") -> None:
        if isinstance(tools, (str, ToolContract)):
            tools = [tools]
        self.tools = frozenset(tool.name if isinstance(tool, ToolContract) else str(tool) for tool in tools)
        if not self.tools:
            raise ContractError(f"{type(self).__name__} is about no tool; name those that it is about.")
        if otherwise is not None and not isinstance(otherwise, Approval):
            raise ContractError(
                f"{type(self).__name__}(otherwise={otherwise!r}): give an Approval, or nothing to deny."
            )
        self.otherwise = otherwise
        self.name = name

    def may_require_approval(self, tool: ToolContract) -> bool:
        """Whether the policy may require an approval of this tool: only with `otherwise=`, and only for its own tools."""
        return self.otherwise is not None and tool.name in self.tools

    def stamp(self) -> JSON:
        """The policy with all its arguments: a policy with another limit is a different one."""
        asks = None if self.otherwise is None else self.otherwise.to_json()
        return [self.label, self.version, [*sorted(self.tools)], asks, self._terms()]

    def judge(self, proposal: ProposalView) -> Ruling:
        """Deny the proposal, or require an approval, if it breaks the policy."""
        reason = self._against(proposal) if proposal.tool.name in self.tools else None
        if reason is None:
            return Allow()
        if self.otherwise is not None:
            return RequireApproval(self.otherwise, reason)
        return Deny(reason, retryable=self._passes())

    def stops(self, proposal: ProposalView) -> str | None:
        """Return why every call of the tool would be denied now; None if not every call would."""
        if proposal.tool.name not in self.tools or self.otherwise is not None:
            return None
        return self._against_any(proposal)

    def _against(self, proposal: ProposalView) -> str | None:
        """The reason against the proposal, or None."""
        raise NotImplementedError

    def _against_any(self, proposal: ProposalView) -> str | None:
        """The reason against every proposal, for a policy that ignores arguments, or None."""
        return self._against(proposal)

    def _terms(self) -> JSON:
        raise NotImplementedError

    def _passes(self) -> bool:
        """Whether the same call may be allowed later."""
        return False


class _Counting(_About):
    def __init__(
        self,
        tools: Tools,
        *,
        within: str | dt.timedelta | None,
        per: Per | str,
        otherwise: Approval | None,
        name: str,
    ) -> None:
        super().__init__(tools, otherwise=otherwise, name=name)
        self.seconds = None if within is None else duration(within)
        self.within = within
        try:
            self.per = Per(per)
        except ValueError:
            raise ContractError(f"{type(self).__name__}(per={per!r}): give one of {', '.join(Per)}.") from None

    def _since(self, now: int) -> int | None:
        return None if self.seconds is None else now - int(self.seconds * 1_000_000)

    def _passes(self) -> bool:
        return self.seconds is not None

    @property
    def _over(self) -> str:
        period = "" if self.within is None else f" within {self.within}"
        return {Per.RUN: "in this run", Per.PRINCIPAL: "for this principal", Per.TENANT: "in all"}[self.per] + period


class LimitPerRun(_Counting):
    """A policy: execute the tools at most `times` times in one workflow instance.

    Args:
        times: The maximum number of executed calls; 0 or more.
        tools: The tools whose calls are counted together.
        otherwise: The approval to require instead of denying the call.
        name: The name in messages and records.
    """

    def __init__(self, times: int, tools: Tools, *, otherwise: Approval | None = None, name: str = "") -> None:
        super().__init__(tools, within=None, per=Per.RUN, otherwise=otherwise, name=name)
        self.times = _count(times, "LimitPerRun")

    def _against(self, proposal: ProposalView) -> str | None:
        done = _history(self, proposal).times(self.tools, per=self.per, since=self._since(proposal.now))
        if done < self.times:
            return None
        return f"at most {self.times} {_calls(self.times)} of {_names(self.tools)} {self._over}, and there were {done}"

    def _terms(self) -> JSON:
        return [self.times, self.seconds, self.per.value]


class LimitPerPeriod(LimitPerRun):
    """A policy: execute the tools at most `times` times within a period that ends now.

    Args:
        times: The maximum number of executed calls; 0 or more.
        within: The period, such as `"24h"`.
        tools: The tools whose calls are counted together.
        per: The scope of the count: the calls of one `principal` (the proposer), one `tenant` or one `run` (instance).
        otherwise: The approval to require instead of denying the call.
        name: The name in messages and records.
    """

    def __init__(
        self,
        times: int,
        within: str | dt.timedelta,
        tools: Tools,
        *,
        per: Per | str = Per.PRINCIPAL,
        otherwise: Approval | None = None,
        name: str = "",
    ) -> None:
        _Counting.__init__(self, tools, within=within, per=per, otherwise=otherwise, name=name)
        self.times = _count(times, "LimitPerPeriod")


class SpendingCap(_Counting):
    """A policy: limit the sum of an argument over all calls. A negative or missing value counts as zero.

    Args:
        amount: The maximum sum.
        field: The argument, by its name on the wire; or a path with dots for a nested field.
        tools: The tools whose amounts are added up together.
        within: The period, which ends now, such as `"24h"`; by default all time.
        per: The scope of the sum: the calls of one `run` (instance), one `principal` (the proposer) or one `tenant`.
        otherwise: The approval to require instead of denying the call.
        name: The name in messages and records.

    Raises:
        ContractError: The argument is sensitive, so its stored value cannot be added up.
    """

    def __init__(
        self,
        amount: Decimal | int | str,
        field: str,
        tools: Tools,
        *,
        within: str | dt.timedelta | None = None,
        per: Per | str = Per.RUN,
        otherwise: Approval | None = None,
        name: str = "",
    ) -> None:
        given = [tools] if isinstance(tools, (str, ToolContract)) else list(tools)
        super().__init__(given, within=within, per=per, otherwise=otherwise, name=name)
        bound = as_amount(str(amount) if isinstance(amount, (int, Decimal)) else amount)
        if bound is None:
            raise ContractError(f"SpendingCap({amount!r}): give a number, such as Decimal('500').")
        self.amount = bound
        self.field = field
        hidden = [tool.name for tool in given if isinstance(tool, ToolContract) and field in tool.sensitive]
        if hidden:
            raise ContractError(
                f"SpendingCap(field={field!r}): that is a sensitive argument of {', '.join(hidden)}, which is not stored, so it cannot be summed. Cap "
                "another argument."
            )

    def _against(self, proposal: ProposalView) -> str | None:
        asked = amount_in(proposal.arguments, self.field)
        if asked is None:
            return f"{self.field} is not an amount"
        history, since = _history(self, proposal), self._since(proposal.now)
        spent = history.total(self.tools, self.field, per=self.per, since=since)
        if spent is None:
            return f"an earlier {self.field} cannot be read, so the sum is not known"
        if spent + max(asked, Decimal(0)) <= self.amount:
            return None
        return f"{self.field} may come to {self.amount} {self._over}; {spent} was spent, and this would be {asked} more"

    def _against_any(self, proposal: ProposalView) -> str | None:
        since = self._since(proposal.now)
        spent = _history(self, proposal).total(self.tools, self.field, per=self.per, since=since)
        if spent is None or spent < self.amount:
            return None
        return f"{self.field} may come to {self.amount} {self._over}, and {spent} was spent"

    def _terms(self) -> JSON:
        return [str(self.amount), self.field, self.seconds, self.per.value]


class RequireRole(_About):
    """A policy: offer tools only to principals with a role, and deny them to others.

    Args:
        role: The role.
        tools: The tools for which the policy applies.
        name: The name in messages and records.
    """

    def __init__(self, role: str, tools: Tools, *, name: str = "") -> None:
        super().__init__(tools, name=name)
        self.role = role

    def hides(self, tool: ToolContract, view: "GuardView") -> str | None:
        """Hide the tool from principals without the role."""
        if tool.name not in self.tools or view.principal.has_role(self.role):
            return None
        return f"it takes the role {self.role!r}"

    def _against(self, proposal: ProposalView) -> str | None:
        return self.hides(proposal.tool, proposal.view)

    def _terms(self) -> JSON:
        return self.role


class WorkingHours(_About):
    """A policy: allow tools only at certain hours of certain days, by the database's clock.

    Args:
        start: When the hours begin, such as `"09:00"`.
        end: When the hours end, exclusive, such as `"17:30"`. An end before the start is on the next day.
        tools: The tools for which the policy applies.
        days: The days on which the hours begin, such as `("mon", "tue")`; Monday to Friday by default.
        timezone: The time zone, such as `"Europe/Berlin"`.
        otherwise: The approval to require instead of denying the call.
        name: The name in messages and records.
    """

    def __init__(
        self,
        start: str,
        end: str,
        tools: Tools,
        *,
        days: Iterable[str] = DAYS[:5],
        timezone: str = "UTC",
        otherwise: Approval | None = None,
        name: str = "",
    ) -> None:
        super().__init__(tools, otherwise=otherwise, name=name)
        try:
            self.start, self.end = dt.time.fromisoformat(start), dt.time.fromisoformat(end)
            self.zone = dt.UTC if timezone == "UTC" else ZoneInfo(timezone)
        except (ValueError, TypeError, ZoneInfoNotFoundError) as error:
            raise ContractError(
                f"WorkingHours({start!r}, {end!r}, timezone={timezone!r}): {error}. Give hours such as '09:00' and a zone such as 'Europe/Berlin'."
            ) from None
        self.days = tuple(day for day in DAYS if day in set(days))
        if len(self.days) != len(set(days)) or not self.days:
            raise ContractError(f"WorkingHours(days={days!r}): give some of {', '.join(DAYS)}.")
        self.timezone = timezone

    def _against(self, proposal: ProposalView) -> str | None:
        local = dt.datetime.fromtimestamp(proposal.now / 1_000_000, self.zone)
        if self._open(local):
            return None
        hours = f"{self.start:%H:%M} to {self.end:%H:%M}"
        return f"only from {hours} ({self.timezone}) on {', '.join(self.days)}, and it is {local:%a %H:%M}"

    def _open(self, local: dt.datetime) -> bool:
        time, today = local.time(), DAYS[local.weekday()] in self.days
        if self.start < self.end:
            return today and self.start <= time < self.end
        yesterday = DAYS[(local.weekday() - 1) % 7] in self.days
        return (today and time >= self.start) or (yesterday and time < self.end)

    def _passes(self) -> bool:
        return True

    def _terms(self) -> JSON:
        return [self.start.isoformat(), self.end.isoformat(), [*self.days], self.timezone]


def _history(policy: Policy, proposal: ProposalView) -> History:
    if proposal.history is None:
        raise ContractError(f"{policy.label} counts what was done before, and is asked without a history.")
    return proposal.history


def _count(times: int, what: str) -> int:
    if isinstance(times, bool) or not isinstance(times, int) or times < 0:
        raise ContractError(f"{what}({times!r}): give a whole number from 0.")
    return times


def _names(tools: Iterable[str]) -> str:
    return ", ".join(sorted(tools))


def _calls(number: int) -> str:
    return "call" if number == 1 else "calls"


__all__ = ["LimitPerPeriod", "LimitPerRun", "RequireRole", "SpendingCap", "WorkingHours"]
