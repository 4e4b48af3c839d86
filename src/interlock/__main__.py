"""The command line: `interlock`, or `python -m interlock`."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    from .cli import app  # noqa: PLC0415 -- `import interlock.__main__` should cost nothing

    app(prog_name="interlock")


if __name__ == "__main__":
    main()
