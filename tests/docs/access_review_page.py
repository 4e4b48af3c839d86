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

The access review of a workflow has a row for each edge: in which state a tool may be called, where the call leads, which role
the caller needs, whose decision it takes, and what else must hold. It is read off the definition, so it is complete for whatever goes through
the gate ([what a proof relies on](claims.md#what-a-proof-relies-on)).

```sh
interlock access --app shop.desk:desk             # a table
interlock access --app shop.desk:desk --csv       # for an auditor
interlock access --app shop.desk:desk --markdown  # for a manual, as below
```

`decided by` names each stage of an approval in turn, with every role that it may be escalated to. `(when f)` says that the function `f`
decides whether anybody is asked. A policy that may ask somebody is named as well. `condition` names guards and checks; a guard that is a
condition is written out.

## Two versions

```sh
interlock access --app shop.desk:desk --since shop.old:desk --db sqlite:///shop.db
```

prints what became possible, what became impossible, and which running instances the new version touches: `stranded` (their state is gone and
mapped to none), `now` (what can be done in their state differs) or `later` (it differs in a state that they can still come to). A state
that the mapping calls otherwise is the same state. `--json` prints it for programs.

## The shipped workflows

The rest of this page is made from the code (`python -m tests.docs.access_review_page`), and a test keeps it so.
"""


def page() -> str:
    """The whole page."""
    tables = (f"\n### {name}\n\n{as_markdown(access_review(make().checked()))}" for name, make in WORKFLOWS.items())
    return _HEAD + "".join(tables)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
