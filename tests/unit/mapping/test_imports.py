"""A mapping's process loads the modules that it needs only."""

import subprocess
import sys

import pytest

MODULES = "import sys, lockstep.local.mapping.{}; print(*sys.modules)"
UNUSED = ("lockstep.audit", "lockstep.page", "lockstep.rebuild", "lockstep.repair")


@pytest.mark.parametrize("module", ["__main__", "forward"])
def test_a_mapping_does_not_load_the_code_of_audit_page_rebuild_and_repair(module: str) -> None:
    ended = subprocess.run(  # our own module
        [sys.executable, "-c", MODULES.format(module)], check=True, capture_output=True, text=True
    )
    loaded = ended.stdout.split()
    assert "lockstep.local.mapping.core" in loaded
    assert [name for name in loaded if name.startswith(UNUSED)] == []
