"""A mapping's process loads the modules that it needs only."""

import subprocess
import sys

import pytest

MODULES = "import sys, lockstep.local.mapping.{}; print(*sys.modules)"
# The last one takes longer than all others together, and its translation is in a cache.
UNUSED = (
    "lockstep.audit",
    "lockstep.page",
    "lockstep.rebuild",
    "lockstep.repair",
    "samtranslator",
)


@pytest.mark.parametrize("module", ["__main__", "forward"])
def test_a_mapping_does_not_load_what_it_needs_only_sometimes(module: str) -> None:
    ended = subprocess.run(  # our own module
        [sys.executable, "-c", MODULES.format(module)], check=True, capture_output=True, text=True
    )
    loaded = ended.stdout.split()
    assert "lockstep.local.mapping.core" in loaded
    assert [name for name in loaded if name.startswith(UNUSED)] == []
