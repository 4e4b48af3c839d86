"""Claims: statements about every path of a workflow, proved over its edges before anything runs.

Open `language.py` for the kinds of claims, `paths.py` for the definition of a path, and `checker.py` for the search.
"""

from ..assumptions import Assumption, asked, earlier_versions_agree, guard_holds, never_forked, starts_with
from .access import AccessRow, access_review
from .checker import Counterexample, Proof, check
from .findings import Finding, find
from .language import Claim, always_possible, at_most, before, every, never, never_after, only, possible_after
from .requirements import Requirement, approval, confirmation
from .selectors import Selector, any_read, any_write, calls, destructive, final, state

__all__ = [
    "AccessRow",
    "Assumption",
    "Claim",
    "Counterexample",
    "Finding",
    "Proof",
    "Requirement",
    "Selector",
    "access_review",
    "always_possible",
    "any_read",
    "any_write",
    "approval",
    "asked",
    "at_most",
    "before",
    "calls",
    "check",
    "confirmation",
    "destructive",
    "earlier_versions_agree",
    "every",
    "final",
    "find",
    "guard_holds",
    "never",
    "never_after",
    "never_forked",
    "only",
    "possible_after",
    "starts_with",
    "state",
]
