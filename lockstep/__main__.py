"""The entry point of `lockstep` and `python -m lockstep`. Handles Ctrl-C during imports, too."""

import gc
import sys

# The same value as in `lockstep.commands.endings`, which is not loaded yet.
INTERRUPTED = 130


def main() -> None:
    """Run the command. Ctrl-C ends it with one line and exit code 130."""
    # Imports make many objects that stay. Looking through them often takes a tenth of a start.
    gc.set_threshold(20_000, 10, 10)
    try:
        from lockstep.cli import main as lockstep  # noqa: PLC0415 - slow: Ctrl-C can arrive during it

        lockstep()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
