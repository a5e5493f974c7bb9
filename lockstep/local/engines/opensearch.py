"""OpenSearch by hand, without its shell scripts: one node, durable as by default."""

import os
from pathlib import Path

import msgspec

from lockstep.local.engines.java import java_service
from lockstep.local.engines.pins import kits
from lockstep.local.processes import Service
from lockstep.web.addresses import HOST

# analysis-common is published as a bare jar; a node reads of a module what this file says.
DESCRIPTOR = """\
description=Adds the analyzers that the index uses
version={version}
name=analysis-common
classname=org.opensearch.analysis.common.CommonAnalysisModulePlugin
java.version=21
opensearch.version={version}
has.native.controller=false
"""
LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p [%c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
"""


def opensearch(
    home: Path,
    state: Path,
    port: int,
    transport_port: int,
    *,
    host: str = HOST,
    heap: str = "512m",
) -> Service:
    """The node that runs in `home` and keeps everything under `state`/opensearch.

    It answers on `host`. Acknowledged writes are on the disk (the translog is synced on every
    request). Writes its module's descriptor into `home` and its configuration into the state
    folder.
    """
    folder = state / "opensearch"
    config = folder / "config"
    descriptor = home / "modules" / "analysis-common" / "plugin-descriptor.properties"
    _write(descriptor, DESCRIPTOR.format(version=kits()["opensearch"].version))
    _write(config / "log4j2.properties", LOGGING)
    settings = {
        "cluster.name": "lockstep",
        "discovery.type": "single-node",
        # Of the transport, too, which nobody uses: bound elsewhere than to loopback it would make
        # this a production node, which checks the machine before it starts.
        "network.host": HOST,
        "http.host": host,
        "http.port": port,
        # Two nodes with the default range would meet and become one cluster.
        "transport.port": transport_port,
        "path.data": str(folder / "data"),
        "path.logs": str(state / "logs"),
        # On a nearly full disk a node makes its indices read-only: here that disk is a laptop's.
        "cluster.routing.allocation.disk.threshold_enabled": False,
    }
    # JSON is YAML, and quotes any path rightly.
    _write(config / "opensearch.yml", msgspec.json.encode(settings).decode())
    icu = [str(home / pin.path) for pin in kits()["opensearch"].pins if pin.path.startswith("icu/")]
    return java_service(
        "opensearch",
        state,
        port,
        options=[
            f"-Xms{heap}",
            f"-Xmx{heap}",
            "--enable-native-access=ALL-UNNAMED",
            # Its own security agent, without which the node does not start.
            f"-javaagent:{home / 'agent' / 'opensearch-agent.jar'}",
            # With JNA off the node cannot tell that it runs as root, which it refuses; it may here.
            "-Djna.nosys=true",
            "-Djna.nounpack=true",
            "-Djava.locale.providers=CLDR,SPI",
            "-Dlog4j2.disable.jmx=true",
            f"-Dopensearch.path.home={home}",
            f"-Dopensearch.path.conf={config}",
            "-Dopensearch.distribution.type=zip",
        ],
        # ICU first: this Java cannot break Thai words, and analysis-common insists on it.
        classpath=":".join([*icu, f"{home / 'lib'}/*"]),
        main="org.opensearch.bootstrap.OpenSearch",
        host=host,
        # After a restart an index takes writes only when its shard has been recovered.
        health="/_cluster/health?wait_for_status=yellow&timeout=1s",
    )


def _write(file: Path, content: str) -> None:
    """Write a file in one step, unless it says so already: other stacks may be reading it."""
    if file.is_file() and file.read_text("utf-8") == content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    unfinished.write_text(content, "utf-8")
    unfinished.replace(file)
