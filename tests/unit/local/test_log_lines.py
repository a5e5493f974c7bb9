"""The line of a log that says why an engine ended, from logs that the real engines wrote."""

from pathlib import Path

import pytest

from lockstep.local.log_lines import telling_line

TAKEN = """\
org.opensearch.bootstrap.StartupException: BindHttpException[Failed to bind to 127.0.0.1:20001]
\tat org.opensearch.bootstrap.OpenSearch.init(OpenSearch.java:185)
Caused by: org.opensearch.http.BindHttpException: Failed to bind to 127.0.0.1:20001
\t... 6 more
Caused by: java.net.BindException: Address already in use
\tat java.base/sun.nio.ch.Net.bind0(Native Method)
For complete error details, refer to the log at logs/lockstep.log
"""
MEMORY = """\
OpenJDK 64-Bit Server VM warning: os::commit_memory(0x1, 2, 0) failed; error='Not enough space'
#
# There is insufficient memory for the Java Runtime Environment to continue.
# An error report file with more information is saved as:
# hs_err_pid17.log
"""
HEAP = """\
[0.058s][error][cds] Disabling optimized module handling
Error occurred during initialization of VM
Could not reserve enough space for 524288KB object heap
"""
FULL = """\
Caused by: java.io.IOException: No space left on device
\tat java.base/sun.nio.ch.FileDispatcherImpl.write0(Native Method)
Caused by: org.opensearch.OpenSearchException: failed to load metadata
"""
PYTHON = """\
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    serve()
    ^^^^^^^
OSError: [Errno 28] No space left on device
"""


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (TAKEN, "Caused by: java.net.BindException: Address already in use"),
        (MEMORY, "# There is insufficient memory for the Java Runtime Environment to continue."),
        (HEAP, "Could not reserve enough space for 524288KB object heap"),
        (FULL, "Caused by: java.io.IOException: No space left on device"),
        (PYTHON, "OSError: [Errno 28] No space left on device"),
        ("starting\nready to serve\n", "ready to serve"),
        ("\x1b[2Jwrong\n", r"\x1b[2Jwrong"),
        ("", None),
        ("\n \n", None),
    ],
)
def test_the_cause_is_found(tmp_path: Path, written: str, line: str | None) -> None:
    log = tmp_path / "log"
    log.write_text(f"ERROR of an earlier start\n{written}")
    assert telling_line(log, len("ERROR of an earlier start\n")) == line


SLOW = """\
WARN  [o.o.b.Natives] cannot getrlimit RLIMIT_FSIZE because JNA is not available
INFO  [o.o.g.GatewayService] recovered [2] indices into cluster_state
"""


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (SLOW, "INFO  [o.o.g.GatewayService] recovered [2] indices into cluster_state"),
        (FULL, "Caused by: java.io.IOException: No space left on device"),
    ],
)
def test_of_a_program_that_still_starts_the_line_says_how_far_it_is(
    tmp_path: Path, written: str, line: str
) -> None:
    log = tmp_path / "log"
    log.write_text(written)
    assert telling_line(log, 0, ended=False) == line


def test_without_a_log_there_is_no_line(tmp_path: Path) -> None:
    assert telling_line(tmp_path / "none", 0) is None
