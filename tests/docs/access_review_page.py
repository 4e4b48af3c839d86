"""Writes `docs/access_review.md` from the shipped workflows: `python -m tests.docs.access_review_page`."""

from interlock.rules.claims.access import access_review, as_markdown
from interlock.workflows.case.workflow import case_workflow
from interlock.workflows.engagement.workflow import engagement_workflow
from interlock.workflows.retail import retail_workflow
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "access_review.md"
WORKFLOWS = {"case": case_workflow, "engagement": engagement_workflow, "retail": retail_workflow}

_HEAD = """\
# Who can do what

The access review of a workflow has a row for each edge: the state in which a tool may be called, the target state, the role that
the caller needs, who approves the call, and further conditions. Interlock derives it from the definition, so it is complete for every call that passes through
the gate ([what a proof relies on](claims.md#what-a-proof-relies-on)).

```sh
interlock access --app shop.desk:desk             # a table
interlock access --app shop.desk:desk --csv       # for an auditor
interlock access --app shop.desk:desk --markdown  # for a manual, as below
```

`decided by` lists each stage of an approval in order, with every role that it may be escalated to. `(when f)` means that the function `f`
decides whether anyone is asked. Policies that may require an approval are listed too. `condition` lists guards and checks. A guard that is a
condition is shown in full.

## Two versions

```sh
interlock access --app shop.desk:desk --since shop.old:desk --db sqlite:///shop.db
```

This command prints what became possible, what became impossible, and which running instances the new version affects: `stranded` (their state was removed and
is not mapped), `now` (their current state allows different calls) or `later` (a state that they can still reach does). A state
that the mapping renames counts as the same state. `--json` prints the result for programs.

## The shipped workflows

The rest of this page is generated from the code (`python -m tests.docs.access_review_page`), and a test keeps it up to date.
"""


def page() -> str:
    """The whole page."""
    tables = (f"\n### {name}\n\n{as_markdown(access_review(make().checked()))}" for name, make in WORKFLOWS.items())
    return _HEAD + "".join(tables)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
