"""The way in, `lockstep` and `python -m lockstep`: Ctrl-C has one end, also while all loads."""

import sys

# As in `lockstep.commands.endings`, of which nothing is loaded yet.
INTERRUPTED = 130


def main() -> None:
    """Run the command."""
    try:
        from lockstep.cli import main as lockstep  # noqa: PLC0415 - takes a second, within the try

        lockstep()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
