"""The retry policy of a tool: number of attempts and pauses."""

from dataclasses import dataclass

from ..errors import ContractError
from ..kinds import Effect


@dataclass(frozen=True)
class RetryPolicy:
    """Repeat a failed attempt, with growing pauses. The pause before attempt n is ``initial * multiplier ** (n - 2)``, at most
    `maximum`, less some jitter.
    """

    attempts: int = 3
    """The number of attempts, including the first one."""
    initial: float = 0.5
    """The pause before the second attempt, in seconds."""
    multiplier: float = 2.0
    maximum: float = 30.0
    """The longest pause, in seconds."""
    jitter: float = 0.5
    """The random share of each pause, from 0 to 1, so that many runners do not retry at the same time."""

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ContractError(
                f"RetryPolicy.attempts is {self.attempts!r}; give a positive integer, the first attempt included"
            )
        for name in ("initial", "maximum"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ContractError(f"RetryPolicy.{name} is {getattr(self, name)!r}; give seconds, zero or more")
        if not 1 <= self.multiplier < float("inf") or not 0 <= self.jitter <= 1:
            raise ContractError("RetryPolicy.multiplier is at least 1, and jitter from 0 to 1; pauses do not shrink")


def retry_of(retry: RetryPolicy | None, effect: Effect | None, place: str) -> RetryPolicy | None:
    """Read the retry policy of a contract.

    Raises:
        ContractError: It is not a retry policy, or the effect is never retried.
    """
    if retry is None:
        return None
    if not isinstance(retry, RetryPolicy):
        raise ContractError(f"{place} has retry={retry!r}; give a RetryPolicy")
    if effect is Effect.AT_MOST_ONCE:
        raise ContractError(
            f"{place} has a retry policy but the effect at_most_once, which is never repeated; declare it "
            "idempotent if it "
            "is safe to repeat under ctx.idempotency_key, or leave the policy out"
        )
    return retry
