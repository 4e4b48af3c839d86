"""The programs of npm's that the conformance runs take, pinned in one place: `package.json` beside this file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
FOLDER = ROOT / ".mcp-conformance"
MODULES = FOLDER / "node_modules"
SUITE = MODULES / "@modelcontextprotocol" / "conformance"


def environment() -> dict[str, str]:
    """Install what is pinned into `.mcp-conformance` at the top, once for each set of pins, and give the environment to run it in.

    Node comes with it, as npm's package: the suite and the Inspector need 22.19 or later, which machines often do not have.
    """
    pinned, installed = HERE / "package.json", FOLDER / "package.json"
    if not MODULES.is_dir() or installed.read_text("utf-8") != pinned.read_text("utf-8"):
        shutil.rmtree(MODULES, ignore_errors=True)  # what an install that broke off has left
        FOLDER.mkdir(exist_ok=True)
        shutil.copyfile(pinned, installed)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], check=True, cwd=FOLDER)
    return {**os.environ, "PATH": f"{MODULES / '.bin'}{os.pathsep}{os.environ['PATH']}"}


__all__ = ["FOLDER", "HERE", "MODULES", "ROOT", "SUITE", "environment"]
