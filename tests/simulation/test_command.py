"""`lockstep simulate`: its output and its exit codes."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from lockstep.cli import main
from lockstep.commands import simulate as command
from lockstep.simulation.code_version import code_version
from lockstep.simulation.faults import FAULTS
from lockstep.simulation.run import Report, simulate
from tests.json_answers import check
from tests.simulation.wrong_components import WRONG


def lockstep(*words: object) -> Result:
    typed = ["simulate", *map(str, words)]
    result = CliRunner().invoke(main, typed)
    check(typed, result.stdout)
    return result


def test_json_is_one_object() -> None:
    result = lockstep("--seed", 7, "--histories", 30, "--json")
    assert result.exit_code == 0, result.output
    report = msgspec.json.decode(result.stdout, type=Report)
    assert (report.seed, report.histories, report.failure) == (7, 30, None)
    assert report.commit == str(code_version())
    assert set(report.faults) == set(FAULTS)


def test_the_text_has_every_fault_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    command.show(simulate(7, 30))
    printed = capsys.readouterr().out
    for fault in FAULTS:
        assert fault in printed
    assert "30 histories from seed 7" in printed
    assert printed.endswith("nothing lost, nothing backwards\n")


def test_a_failed_history_is_printed_with_its_steps_and_the_command_that_repeats_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = simulate(1, 1_000, components=WRONG["table: no version check"], commit="0a1b2c3d4e")
    assert report.failure is not None
    command.show(report)
    printed = capsys.readouterr().out
    assert f"seed {report.failure.seed} at 0a1b2c3d4e breaks I" in printed
    assert all(step in printed for step in report.failure.steps)
    assert f"lockstep simulate --seed {report.failure.seed} --histories 1" in printed


def test_a_fault_hit_too_rarely_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    report = simulate(7, 1)
    command.show(msgspec.structs.replace(report, missed={"zombie request": 15}))
    assert "hit too rarely: zombie request" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--seed", "-1"], ["--histories", "0"], ["--histories", "x"]])
def test_an_invalid_option_is_named(words: list[str]) -> None:
    result = lockstep(*words)
    assert result.exit_code == 2
    assert words[0] in result.stderr


def test_a_record_file_that_cannot_be_written_stops_the_run_at_its_start(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "record.md"
    result = lockstep("--histories", 10_000_000, "--record", file)
    assert result.exit_code == 2
    assert f"{file}: No such file or directory" in result.stderr
