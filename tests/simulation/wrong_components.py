"""The seeded bugs, by name: small wrong variants of our components.

Each replaces one component of a history (`components.py`), or one name that a function of ours uses
(`rewired.py`).
"""

from collections.abc import Mapping

from lockstep.simulation.components import Components
from tests.simulation import (
    wrong_choices,
    wrong_delivery,
    wrong_discards,
    wrong_forged,
    wrong_giving_up,
    wrong_imports,
    wrong_index,
    wrong_late_operations,
    wrong_losses,
    wrong_mapping,
    wrong_meaning,
    wrong_pointers,
    wrong_producer,
    wrong_quarantine,
    wrong_rebuild,
    wrong_repair,
    wrong_replay,
    wrong_table,
    wrong_table_changes,
)

WRONG: Mapping[str, Components] = {
    **wrong_table.WRONG,
    **wrong_table_changes.WRONG,
    **wrong_index.WRONG,
    **wrong_quarantine.WRONG,
    **wrong_delivery.WRONG,
    **wrong_mapping.WRONG,
    **wrong_meaning.WRONG,
    **wrong_producer.WRONG,
    **wrong_late_operations.WRONG,
    **wrong_replay.WRONG,
    **wrong_discards.WRONG,
    **wrong_losses.WRONG,
    **wrong_forged.WRONG,
    **wrong_choices.WRONG,
    **wrong_repair.WRONG,
    **wrong_rebuild.WRONG,
    **wrong_imports.WRONG,
    **wrong_pointers.WRONG,
    **wrong_giving_up.WRONG,
}
