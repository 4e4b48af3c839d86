"""Print what becomes of the attacks of hostile MCP clients on the retail desk.

python -m tests.mcp.server.attacks_report            # all writes under every attack
python -m tests.mcp.server.attacks_report --share 5  # five writes of each attack
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.mcp.server import attacks
from tests.workflows.retail import tau2
from tests.workflows.retail.attacks_report import on_range


def main() -> int:
    """Print the table; the exit code says whether the desk held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=int, help="how many writes of each attack; all by default")
    share = parser.parse_args().share
    if not tau2.PRESENT:
        print(f"the tau2-bench retail data is not in {tau2.FOLDER}: set INTERLOCK_TAU2_DIR")
        return 2
    started = time.perf_counter()
    desk = attacks.ClientRange()
    cells = on_range(desk, attacks.plan(share), "client")
    desk.close()
    print("\n## The desk, served to hostile MCP clients\n")
    print("| attack | carried out / attempts | reached | refused with |")
    print("|---|---|---|---|")
    for name, cell in cells.items():
        codes = ", ".join(f"`{code}`" for code, _ in cell.codes.most_common())
        print(f"| {name} | {cell.carried_out}/{cell.attempts} | {cell.reached} | {codes} |")
    total = [
        sum(getattr(cell, name) for cell in cells.values())
        for name in ("attempts", "carried_out", "reached", "unrecorded")
    ]
    print("\n{} attacks through the server, {} carried out, {} reached, {} not written down.".format(*total), end=" ")
    print(f"{time.perf_counter() - started:.0f} s.")
    return 0 if all(cell.is_held for cell in cells.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
