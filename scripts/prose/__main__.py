"""Print every sentence that the word list refuses, and exit with 1 if there is one. Arguments: paths, or their beginnings, to check alone."""

from __future__ import annotations

import sys

from .rules import check, load
from .texts import everything


def main(only: list[str]) -> int:
    """Check the prose of the project, or of some of its files."""
    texts = (text for text in everything() if not only or text.path.startswith((*only,)))
    findings = [*check(texts, load())]
    for finding in findings:
        print(finding)
    if findings:
        print(
            f"{len(findings)} sentences to rewrite in plain technical English. The word list is scripts/prose/words.toml."
        )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
