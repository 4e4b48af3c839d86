"""Run every benchmark of this package, or those named: `python -m tests.benchmarks [NAME…]`.

`INTERLOCK_BENCH_SYNC_MS=1` makes every sync of the disk take a millisecond more, for both sides alike (`_slow_disk`).
"""

import importlib
import pkgutil
import sys

from tests import benchmarks

from . import _slow_disk


def main() -> int:
    """Run them one after another."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")]
    wanted = sys.argv[1:] or names
    if unknown := [name for name in wanted if name not in names]:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    if (code := _slow_disk.run_again()) is not None:
        return code
    for name in wanted:
        print(f"== {name} ==", flush=True)
        importlib.import_module(f"tests.benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
