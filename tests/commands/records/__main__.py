"""Write what is said of each story anew, for review."""

from __future__ import annotations

import json
import sys

from tests.commands.records.stories import STORIES
from tests.commands.records.telling import GOLDEN

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in sys.argv[1:] or STORIES:
        told = json.dumps(STORIES[name]().told(), indent=1, ensure_ascii=False)
        (GOLDEN / f"{name}.json").write_text(f"{told}\n")
