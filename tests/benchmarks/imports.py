"""What importing costs, beside LangGraph and SQLAlchemy: processor time of fresh interpreters, interleaved, medians.

    python -m tests.benchmarks imports
    INTERLOCK_BENCH_ROUNDS=15                        more rounds

`import interlock` loads no package before one of its names is used, so what a program that builds a workflow pays stands beside it. The
peer is what such a program imports anyway.
"""

import os
import statistics
import subprocess
import sys

ROUNDS = int(os.environ.get("INTERLOCK_BENCH_ROUNDS", "7"))
PEER = "import langgraph.graph, sqlalchemy"
OURS = {
    "import interlock": "import interlock",
    "with LangGraph and SQLAlchemy": f"{PEER}\nimport interlock",
    "a tool: from interlock import command": f"{PEER}\nfrom interlock import command",
    "everything for a workflow in SQL": f"{PEER}\nfrom interlock import Approval, Principal, SQLCheckpointer, Workflow, command, read",
}
_compiled: set[str] = set()
_TOLD = "\nimport resource\nused = resource.getrusage(resource.RUSAGE_SELF)\nprint(used.ru_utime + used.ru_stime)"


def seconds(code: str) -> float:
    """The processor time of an interpreter that runs this and nothing else, with everything compiled before, as after an installation."""
    if code not in _compiled:
        _compiled.add(code)
        seconds(code)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code + _TOLD], capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout)


def main() -> None:
    """Print each beside the peer."""
    taken: dict[str, list[float]] = {code: [] for code in [PEER, *OURS.values()]}
    for _ in range(ROUNDS):
        for code, times in taken.items():
            times.append(seconds(code))
    peer = statistics.median(taken[PEER])
    print(f"{PEER}: {peer * 1000:.0f} ms of processor time, median of {ROUNDS}")
    for name, code in OURS.items():
        median = statistics.median(taken[code])
        print(f"{name}: {median * 1000:.0f} ms, {median / peer:.2f} of that")


if __name__ == "__main__":
    main()
