"""The pauses between retries of an idempotent effect: the contract's retry policy, with tenacity."""

import tenacity

from ...tools.contracts.retry import RetryPolicy


class Backoff:
    """The pauses of one round of attempts."""

    def __init__(self, policy: RetryPolicy) -> None:
        jitter = policy.jitter

        def pause(state: tenacity.RetryCallState) -> float:
            whole = growing(state)
            return whole - tenacity.wait_random(0, whole * jitter)(state)

        growing = tenacity.wait_exponential(
            multiplier=policy.initial, exp_base=policy.multiplier, max=policy.maximum, min=0
        )
        self._retrying = tenacity.Retrying(stop=tenacity.stop_after_attempt(policy.attempts), wait=pause)
        self._tried = 0

    def after(self, error: BaseException) -> float | None:
        """The seconds to wait after this failed attempt, or None to stop retrying."""
        self._tried += 1
        state = tenacity.RetryCallState(self._retrying, None, (), {})
        state.attempt_number = self._tried
        state.set_exception((type(error), error, error.__traceback__))
        if self._retrying.stop(state):
            return None
        return float(self._retrying.wait(state))
