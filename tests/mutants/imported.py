"""A pytest plugin that imports one file's source from another place: `INTERLOCK_MUTANT` names both."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from pathlib import Path

_ORIGINAL, _, _CHANGED = os.environ["INTERLOCK_MUTANT"].partition(os.pathsep)
_get_code = SourceFileLoader.get_code


def _changed(self: SourceFileLoader, fullname: str) -> object:
    if self.path == _ORIGINAL:
        return compile(Path(_CHANGED).read_text(), _ORIGINAL, "exec", dont_inherit=True)
    return _get_code(self, fullname)


SourceFileLoader.get_code = _changed  # type: ignore[method-assign]
