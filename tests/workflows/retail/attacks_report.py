"""Print what becomes of the attacks, on LangChain's own stack, on the desk, on an agent with the desk as its middleware, and at the door.

    python -m tests.workflows.retail.attacks_report            # all 119 writes under every attack: some minutes
    python -m tests.workflows.retail.attacks_report --share 5  # five writes of each attack, chosen by the seed

Cells: carried out / attempts, and how many reached the tool's body where none is carried out. Each attack is made on one write
alone, with the shop as it is just before that write in its task.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.graphs.agents import agent_desk
from tests.workflows.retail import attack_range, attacked, door_attacks, peers, tau2
from tests.workflows.retail.attacked import SEED, Write
from tests.workflows.retail.peers import Approver, Row


@dataclass
class Cell:
    """What became of one attack on several writes."""

    attempts: int = 0
    carried_out: int = 0
    reached: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    unrecorded: int = 0

    def __str__(self) -> str:
        if not self.attempts:
            return "–"
        return f"{self.carried_out}/{self.attempts}" + (f", {self.reached} reached" if self.reached else "")

    @property
    def is_held(self) -> bool:
        """Whether nothing came through, and everything was written down."""
        return not (self.carried_out or self.reached or self.unrecorded)


def on_peers(row: Row, writes: list[Write], approver: Approver) -> Cell:
    """Make an attack on LangChain's stack."""
    cell = Cell()
    if row.about_answers and approver is not Approver.YES_TO_THE_TASK:
        return cell
    for write in writes:
        result = peers.suffers(row, write, approver)
        cell.attempts += 1
        cell.carried_out += result.carried_out
        cell.reached += result.reached > 0
    return cell


def on_range(desk: attack_range.Range, plan: list[tuple[str, Write]], what: str) -> dict[str, Cell]:
    """Make every attack on the desk, or on an agent that has it as its middleware."""
    cells: dict[str, Cell] = {}
    for name, write in plan:
        if name not in cells:
            print(f"{what}: {len(cells) + 1}/{len({name for name, _ in plan})} {name}", file=sys.stderr, flush=True)
        result = desk.suffers(name, write)
        cell = cells.setdefault(name, Cell())
        cell.attempts += 1
        cell.carried_out += result.carried_out
        cell.reached += result.reached > 0
        cell.unrecorded += not result.recorded or not result.audit_is_whole
        cell.codes.update(dict.fromkeys(result.codes, 1))
    return cells


def together(cells: list[Cell]) -> Cell:
    """Several attacks as one."""
    return Cell(*(sum(getattr(cell, name) for cell in cells) for name in ("attempts", "carried_out", "reached")))


def main() -> int:
    """Print the tables; the exit code says whether the desk held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=int, help="how many writes of each attack; all by default")
    share = parser.parse_args().share
    if not tau2.PRESENT:
        print(f"the tau2-bench retail data is not in {tau2.FOLDER}: set INTERLOCK_TAU2_DIR")
        return 2
    started = time.perf_counter()
    desk, agent, door = attack_range.Range(), agent_desk.AgentRange(), door_attacks.DoorRange()
    cells = on_range(desk, attack_range.plan(share), "desk")
    in_agent = on_range(agent, agent_desk.plan(share), "agent")
    at_the_door = on_range(door, door_attacks.plan(share), "door")
    for used in (desk, agent, door):
        used.close()

    print(
        "\n## The same attacks on LangChain's own stack, on the desk, on an agent with its middleware, and at the door\n"
    )
    print(
        "| attack | " + " | ".join(f"LangChain: {approver}" for approver in Approver) + " | desk | middleware | door |"
    )
    print("|---|" + "---|" * (len(Approver) + 3))
    for row in peers.ROWS:
        writes = [write for write in attacked.writes() if row.on(write)]
        if share is not None and share < len(writes):
            writes = random.Random(f"{SEED}/{row.title}").sample(writes, share)
        found = [on_peers(row, writes, approver) for approver in Approver]
        mine = [
            together([held[name] for name in row.on_desk if name in held]) for held in (cells, in_agent, at_the_door)
        ]
        print(f"| {row.title} | " + " | ".join(map(str, [*found, *mine])) + " |", flush=True)

    held_by = {"on the desk": cells, "on an agent with the middleware": in_agent, "at the door": at_the_door}
    for title, held in held_by.items():
        print(f"\n## Every attack {title}\n")
        print("| attack | carried out / attempts | reached | refused with |")
        print("|---|---|---|---|")
        for name, cell in held.items():
            codes = ", ".join(f"`{code}`" for code, _ in cell.codes.most_common())
            print(f"| {name} | {cell.carried_out}/{cell.attempts} | {cell.reached} | {codes} |")
        print(
            f"\n{sum(cell.attempts for cell in held.values())} attacks {title}, "
            f"{sum(cell.carried_out for cell in held.values())} carried out, "
            f"{sum(cell.reached for cell in held.values())} reached, "
            f"{sum(cell.unrecorded for cell in held.values())} not written down."
        )
    print(f"\nSeed {SEED}; {time.perf_counter() - started:.0f} s.")
    return 0 if all(cell.is_held for held in held_by.values() for cell in held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
