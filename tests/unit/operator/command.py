"""`lockstep`, typed."""

from click.testing import CliRunner, Result

from lockstep.cli import main


def lockstep(*words: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, list(map(str, words)), input=stdin)


def assert_one_line(result: Result, *parts: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    last = result.stderr.strip().splitlines()[-1]
    for part in parts:
        assert part in last
