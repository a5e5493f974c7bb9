"""What `quarantine show` says of the action for a record."""

from lockstep.commands.cases import what_to_do


def test_a_record_to_correct_gets_the_commands_and_not_its_detail_again() -> None:
    said = what_to_do("correct", 'schema: no "name"', 'no "name"')
    assert said.startswith("correct: `lockstep quarantine export` writes a line to correct")
    assert "name" not in said


def test_another_action_gets_its_reason() -> None:
    assert what_to_do("too_old", "90 days old", "90 days old") == "too old: 90 days old"
    assert what_to_do("correct", "version 5 is no timestamp", "") == (
        "correct: version 5 is no timestamp"
    )
