#!/usr/bin/env python3
"""Run LangGraph's own test-suite with Interlock's checkpointer in the place of its SQLite savers.

The tests are those of the installed LangGraph release, out of its source distribution, which pip fetches by the package's name. What they
need besides is installed into an environment in `.langgraph-suite/`, which sees the packages of the environment that runs this.
Every test whose parameters name a saver of SQLite is run, once for each variant: see `tests/langgraph_suite/savers.py`.

Where CI is true, or INTERLOCK_REQUIRE_SERVERS names postgresql, what is missing is a failure; elsewhere it is skipped, visibly.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = ROOT / "tests" / "langgraph_suite"
NEEDED = ["pytest-mock", "syrupy", "pytest-dotenv", "pytest-repeat", "pytest-cov", "redis", "pycryptodome", "httpx"]
FAILS_UPSTREAM = ("test_weather_subgraph",)
"""They fail with LangGraph's own savers as well."""
VARIANTS = {
    "sqlite": "SQLite by its URL, plain and encrypted",
    "postgresql": "PostgreSQL by its URL",
    "engine": "PostgreSQL through an application's own engines",
}

SHARE = (
    "test_time_travel.py",
    "test_subgraph_persistence.py",
    "test_subgraph_persistence_async.py",
    "test_interruption.py",
)
"""What is run on PostgreSQL unless all is asked for (INTERLOCK_FULL=1): by then all of it was run on SQLite, with the same checkpointer."""


class Missing(Exception):  # noqa: N818 -- not an error everywhere
    """Something is not here."""


def fetch(work: pathlib.Path, version: str) -> pathlib.Path:
    """The folder of the release's sources."""
    source = work / f"langgraph-{version}"
    if not (source / "tests").is_dir():
        work.mkdir(parents=True, exist_ok=True)
        wanted = [
            "--no-deps",
            "--no-binary",
            "langgraph",
            "--no-build-isolation",
            f"langgraph=={version}",
            "-d",
            str(work),
        ]
        done = subprocess.run([sys.executable, "-m", "pip", "download", "-q", *wanted], check=False)
        archives = list(work.glob("langgraph-*.tar.gz"))
        if not archives:
            raise Missing(f"pip could not fetch the sources of langgraph {version} (it ended with {done.returncode})")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(work, filter="data")
    return source


def environment(work: pathlib.Path) -> pathlib.Path:
    """The interpreter that has what the suite needs, and everything that this one has."""
    folder = work / "venv"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        packages = pathlib.Path(subprocess.check_output(ask, text=True).strip())
        ours = sysconfig.get_path("purelib")
        (packages / "beside.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
        if subprocess.run([str(python), "-m", "pip", "install", "-q", *NEEDED], check=False).returncode:
            raise Missing("pip could not install what the suite needs")
        (folder / "ready").touch()
    return python


def run(python: pathlib.Path, source: pathlib.Path, variant: str, workers: str, rest: list[str]) -> bool:
    """Whether a variant passes; what fails beside others has to pass by itself, for some tests measure time."""
    is_full = bool(os.environ.get("INTERLOCK_FULL") or rest)
    # Encrypted it runs the same tests once more: with everything, and otherwise the checkpointer's own tests of encryption stand for it.
    selected = "sqlite" if variant == "sqlite" and is_full else "sqlite and not sqlite_aes"
    selected = " and not ".join([selected, *FAILS_UPSTREAM])
    paths = [str(OURS), str(source), os.environ.get("PYTHONPATH", "")]
    settings = {**os.environ, "NO_DOCKER": "true", "INTERLOCK_SUITE": variant, "PYTHONPATH": os.pathsep.join(paths)}
    settings.pop("LANGGRAPH_STRICT_MSGPACK", None)  # the checkpointer is tested as strict as it is by itself
    is_whole = variant == "sqlite" or is_full
    files = ["tests"] if is_whole else [f"tests/{name}" for name in SHARE]
    options = ["-p", "swapped", "-p", "no:cacheprovider", "--no-header", "-q"]
    command = [str(python), "-m", "pytest", *options, *files, *rest]
    what = "LangGraph's own test-suite" if is_whole else f"{', '.join(SHARE)} of LangGraph's own test-suite"
    print(f"-- {what} on {VARIANTS[variant]}, without {', '.join(FAILS_UPSTREAM)}", flush=True)
    failed: list[str] = []
    with subprocess.Popen(
        [*command, "-n", workers, "-k", selected], cwd=source, env=settings, text=True, stdout=subprocess.PIPE
    ) as running:
        for line in running.stdout or ():
            print(line, end="", flush=True)
            failed += re.findall(r"^FAILED (?:[^:]+)::(\w+)", line)
    if running.returncode == 0:
        return True
    if not failed:
        return False
    again = " or ".join(sorted(set(failed)))
    print(f"-- what failed, one test at a time: {again}", flush=True)
    once_more = [*command, "-n", "0", "-k", f"({again}) and {selected}"]
    return subprocess.run(once_more, cwd=source, env=settings, check=False).returncode == 0


def main() -> int:
    """Run the variants that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--variants", default=",".join(VARIANTS), help="which of them, with commas between (default: all)"
    )
    parser.add_argument("-n", dest="workers", default="2", help="how many tests at once")
    parser.add_argument("rest", nargs="*", help="arguments for pytest, after --")
    given = parser.parse_args()
    variants = given.variants.split(",")
    if unknown := set(variants) - set(VARIANTS):
        parser.error(f"there is no variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    strict = os.environ.get("CI") == "true"
    try:
        version = importlib.metadata.version("langgraph")
        work = ROOT / ".langgraph-suite" / version
        source, python = fetch(work, version), environment(work)
    except Missing as missing:
        return skipped(str(missing), required=strict)
    passed = True
    for variant in variants:
        if variant != "sqlite":
            asked = subprocess.run([str(python), "-c", "import savers; savers.find_postgres()"], cwd=OURS, check=False)
            if asked.returncode:
                required = strict or "postgresql" in os.environ.get("INTERLOCK_REQUIRE_SERVERS", "").split(",")
                passed &= (
                    skipped("no PostgreSQL answers; name one in INTERLOCK_TEST_POSTGRES_URL", required=required) == 0
                )
                continue
        passed &= run(python, source, variant, given.workers, given.rest)
    return 0 if passed else 1


def skipped(why: str, *, required: bool) -> int:
    """Say what is missing; the exit status."""
    print(f"LangGraph's own test-suite: {'FAILED' if required else 'SKIPPED'}: {why}", file=sys.stderr, flush=True)
    return int(required)


if __name__ == "__main__":
    sys.exit(main())
