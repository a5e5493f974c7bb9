"""All groups of `make test` and `make test-all` use one set of engines."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

from lockstep.local.processes import answers
from tools.shared_engines import run_with

USES_AN_ENGINE = """
import sys
from pathlib import Path
from tools.engines import engines_for_tests, shared_engines
with engines_for_tests() as endpoint:
    found = endpoint("s3")
assert shared_engines() == {"s3": found}
Path(sys.argv[1]).write_text(found)
sys.exit(3)
"""


def test_a_command_uses_the_engines_that_run_and_they_end_after_it(tmp_path: Path) -> None:
    told = tmp_path / "endpoint"
    code = run_with(["s3"], [sys.executable, "-c", USES_AN_ENGINE, str(told)])
    assert code == 3
    engine = urlsplit(told.read_text())
    assert engine.hostname is not None
    assert engine.port is not None
    assert not answers(engine.hostname, engine.port, "/")
