"""The catalogue of seeded bugs: small wrong variants of parts of ours, by name.

Each is a patch at one seam: of those that the simulation offers (`parts.py`), or of a name that a
function of ours uses (`rewired.py`).
"""

from collections.abc import Mapping

from lockstep.simulation.parts import Parts
from tests.simulation import (
    wrong_days_later,
    wrong_delivery,
    wrong_giving_up,
    wrong_index,
    wrong_mapping,
    wrong_producer,
    wrong_quarantine,
    wrong_table,
)

WRONG: Mapping[str, Parts] = {
    **wrong_table.WRONG,
    **wrong_index.WRONG,
    **wrong_quarantine.WRONG,
    **wrong_delivery.WRONG,
    **wrong_mapping.WRONG,
    **wrong_producer.WRONG,
    **wrong_days_later.WRONG,
    **wrong_giving_up.WRONG,
}
