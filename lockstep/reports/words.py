"""What kinds of differences of images, and what a repair does about them, are called."""

from collections.abc import Mapping

from lockstep.audit.ahead import AheadKind
from lockstep.audit.compare import DifferenceKind
from lockstep.repair.repair import Action

KINDS: Mapping[DifferenceKind, str] = {
    "missing_in_index": "only the table has the image",
    "missing_in_table": "only the index has the image",
    "index_behind": "the table has a higher version",
    "table_behind": "the index has a higher version",
    "conflict": "the same version with different contents",
    "deleted_in_one": "the same version: one has an image, the other a tombstone",
    "malformed": "an entry that no consumer writes",
    "index_version_moved": "another program wrote the document: its _version has moved",
}
ACTIONS: Mapping[Action, str] = {
    "write_index": "write to the index",
    "overwrite_index": "overwrite the index",
    "forget": "index again from the table",
    "leave": "leave: the index is ahead",
    "decide": "decide by hand",
}
AHEAD: Mapping[AheadKind, str] = {
    "image": "image",
    "removal": "removal",
    "outlived": "outlived: only in the index, over 121 days old",
    "malformed": "malformed: the table's item is malformed",
    "explained": "explained: quarantined by the table's consumer",
}
