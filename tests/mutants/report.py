"""The record of a run, the committed list of survivors, and the table of both."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

LISTED = Path(__file__).with_name("survivors.md")
NOTICED = frozenset({"killed", "timeout"})


class Record:
    """One line of JSON for each mutant that was run; a later line counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, dict[str, Any]] = {}
        self._existing: dict[str, set[str]] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                row = json.loads(line)
                if "exists" in row:
                    self._existing[row["file"]] = set(row["exists"])
                else:
                    self._rows[row["key"]] = row

    def exists(self, file: str, keys: list[str]) -> None:
        """Say which mutants a file has now: those of an earlier text of it count no longer."""
        if self._existing.get(file) != set(keys):
            self._existing[file] = set(keys)
            self._write({"file": file, "exists": keys})

    def status(self, key: str) -> str | None:
        """What became of it, where it was run."""
        row = self._rows.get(key)
        return row["status"] if row else None

    def add(self, outcome: Any) -> None:
        """Keep what became of a mutant."""
        mutant = outcome.mutant
        row = {
            name: getattr(mutant, name) for name in ("key", "file", "function", "line", "operator", "before", "after")
        }
        row |= {"status": outcome.status, "killer": outcome.killer, "asked": outcome.asked}
        self._rows[mutant.key] = row
        self._write(row)

    def kills(self) -> Counter[tuple[str, str]]:
        """How often a test noticed something in a file or a function: it is asked first about others there.

        Under an empty name stands how often any parameter of it did, anywhere.
        """
        found: Counter[tuple[str, str]] = Counter()
        for row in self._rows.values():
            found[row["file"], row["killer"]] += 1
            found[row["function"], row["killer"]] += 5
            found["", row["killer"].partition("[")[0]] += 1
        return found

    def of(self, file: str) -> list[dict[str, Any]]:
        """Those of one file, as it is now."""
        return [
            row for row in self._rows.values() if row["file"] == file and row["key"] in self._existing.get(file, set())
        ]

    def count(self, file: str) -> int:
        """How many mutants the file has."""
        return len(self._existing.get(file, ()))

    def _write(self, row: dict[str, Any]) -> None:
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


def listed() -> dict[str, str]:
    """The survivors of the committed list, each with its reason."""
    rows = re.findall(r"^\| `([0-9a-f]{8})` \|(.*)\|$", LISTED.read_text(), re.MULTILINE)
    return {key: rest.rpartition("|")[2].strip() for key, rest in rows}


def estimated(samples: list[tuple[int, int, int]]) -> tuple[float, float]:
    """The share of all mutants of several files that is killed, from a sample of each; with half the width of its interval of 95%.

    Args:
        samples: Of each file, how many mutants it has, how many of them were run, and how many of these were killed.
    """
    whole = sum(made for made, _, _ in samples)
    share = variance = 0.0
    for made, run, killed in samples:
        weight = made / whole
        share += weight * killed / run
        near = (killed + 1) / (run + 2)  # a small sample without a survivor says not that there is none
        variance += weight**2 * near * (1 - near) / run * (1 - run / made)
    return share, 1.96 * math.sqrt(variance)


def report(record: Record, files: list[str], out: Path, reasons: dict[str, str]) -> int:
    """Print a table by file, and write the list of survivors that no reason is given for; 1 where there are any."""
    total: Counter[str] = Counter()
    unlisted = []
    samples: list[tuple[int, int, int]] = []
    print(f"\n{'file':58} {'made':>5} {'run':>5} {'killed':>6} {'survived':>8} {'listed':>6} {'killed %':>8}")
    for file in files:
        rows = record.of(file)
        if not rows:
            continue
        killed = sum(row["status"] in NOTICED for row in rows)
        survivors = [row for row in rows if row["status"] not in NOTICED]
        known = [row for row in survivors if row["key"] in reasons]
        unlisted += [row for row in survivors if row["key"] not in reasons]
        print(
            f"{file:58} {record.count(file):5} {len(rows):5} {killed:6} {len(survivors):8} {len(known):6} {100 * killed / len(rows):7.1f}%"
        )
        samples.append((max(record.count(file), len(rows)), len(rows), killed))
        total.update(made=record.count(file), run=len(rows), killed=killed, survived=len(survivors), listed=len(known))
    if total["run"]:
        share = 100 * total["killed"] / total["run"]
        print(
            f"{'all':58} {total['made']:5} {total['run']:5} {total['killed']:6} {total['survived']:8} {total['listed']:6} {share:7.1f}%"
        )
        of_all, around = estimated(samples)
        print(
            f"of all {total['made']} mutants of these files {100 * of_all:.1f}% (+/- {100 * around:.1f}, 95%) would be killed"
        )
    out.parent.mkdir(exist_ok=True)
    out.write_text("".join(_told(row) for row in sorted(unlisted, key=lambda row: (row["file"], row["line"]))))
    print(f"{len(unlisted)} survivors are not in {LISTED.name}: {out}")
    return 1 if unlisted else 0


def _told(row: dict[str, Any]) -> str:
    where = f"{row['key']} {row['file']}:{row['line']} {row['function']} ({row['operator']}, {row['status']}, {row['asked']} tests)"
    return f"{where}\n    - {row['before']}\n    + {row['after']}\n"
