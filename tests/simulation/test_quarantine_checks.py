"""What excuses a record in quarantine: each excuse, and its limits."""

from dataclasses import replace

from lockstep.simulation.history import History
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.quarantine_checks import may_be_refused
from lockstep.simulation.store_views import StoredVersion
from lockstep.simulation.system import Function
from tests.simulation.test_operators import quiet


def test_a_repair_with_the_tables_content_excuses_a_conflict_in_the_index_only() -> None:
    history = History(quiet())
    system = history.system
    history.uploaders[0].put([("T0", "image.updated")])
    (accepted,) = system.stream.accepted
    first = system.interpret(accepted)
    assert not isinstance(first, Poison)
    other = replace(first, image={"name": "other content"})

    def is_right(function: Function) -> bool:
        consumer = system.consumers[function]
        return may_be_refused(system, first, accepted, "conflict", consumer)

    assert not is_right("write_to_es")
    # The repair gave the index this content, another version, or another image.
    system.given_index.add(("T0", StoredVersion(first.version, first.digest)))
    system.given_index.add(("T0", StoredVersion(first.version + 1, other.digest)))
    system.given_index.add(("T1", StoredVersion(first.version, other.digest)))
    assert not is_right("write_to_es")
    system.given_index.add(("T0", StoredVersion(first.version, other.digest)))
    assert is_right("write_to_es")
    assert not is_right("write_to_dynamodb")
