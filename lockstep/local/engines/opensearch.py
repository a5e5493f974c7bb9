"""OpenSearch as one node, started without its shell scripts; writes are durable."""

from pathlib import Path

import msgspec

from lockstep.local.engines.java import LOCAL_NAMES, archive, java_service, provide
from lockstep.local.engines.pins import kits
from lockstep.local.processes import Service
from lockstep.web.addresses import HOST

# A module needs this file. analysis-common is published as a jar without it.
DESCRIPTOR = """\
description={description}
version={version}
name={name}
classname={main}
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
    """The node that runs from `home` and stores its data in `state`/opensearch.

    It listens on `host`. Acknowledged writes are on disk, because the translog is synced for every
    request. It refuses requests for host names that are not local. This writes what two modules
    need to `home`, and the configuration to the state folder.
    """
    folder = state / "opensearch"
    config = folder / "config"
    analyzers = "org.opensearch.analysis.common.CommonAnalysisModulePlugin"
    _describe(home, "analysis-common", analyzers, "Adds the analyzers that the index uses")
    names = home / "modules" / "local-names" / LOCAL_NAMES.name
    provide(names, LOCAL_NAMES.read_bytes())
    checks = "lockstep.engines.OpenSearchModule"
    _describe(home, "local-names", checks, "Refuses requests for host names that are not local")
    provide(config / "log4j2.properties", LOGGING.encode())
    settings = {
        "cluster.name": "lockstep",
        "discovery.type": "single-node",
        # Loopback also for the transport, which is not used: with any other address OpenSearch runs
        # in production mode, and its bootstrap checks can prevent the start.
        "network.host": HOST,
        "http.host": host,
        "http.port": port,
        # With the default range, two nodes would form a cluster.
        "transport.port": transport_port,
        "path.data": str(folder / "data"),
        "path.logs": str(state / "logs"),
        # Otherwise a nearly full disk makes the indices read-only.
        "cluster.routing.allocation.disk.threshold_enabled": False,
    }
    # JSON is YAML, and quotes every path correctly.
    provide(config / "opensearch.yml", msgspec.json.encode(settings))
    icu = [str(home / pin.path) for pin in kits()["opensearch"].pins if pin.path.startswith("icu/")]
    agent_classes = (home / "agent").glob("opensearch-agent-bootstrap-*.jar")
    return java_service(
        "opensearch",
        state,
        port,
        options=[
            f"-Xms{heap}",
            f"-Xmx{heap}",
            "--enable-native-access=ALL-UNNAMED",
            # The node needs a class of its security agent. It does not need the agent, which limits
            # what plugins may do, examines every class, and so rules out an archive of classes.
            *(f"-Xbootclasspath/a:{jar}" for jar in agent_classes),
            # Without JNA the node cannot detect that it runs as root; otherwise it would not start.
            "-Djna.nosys=true",
            "-Djna.nounpack=true",
            "-Djava.locale.providers=CLDR,SPI",
            "-Dlog4j2.disable.jmx=true",
            f"-Dopensearch.path.home={home}",
            f"-Dopensearch.path.conf={config}",
            "-Dopensearch.distribution.type=zip",
        ],
        # ICU first: analysis-common needs Thai word breaks, which this Java does not have.
        classpath=":".join([*icu, f"{home / 'lib'}/*"]),
        classes=archive(home),
        main="org.opensearch.bootstrap.OpenSearch",
        host=host,
        # After a restart, an index accepts writes when its shard has been recovered.
        health="/_cluster/health?wait_for_status=yellow&timeout=1s",
    )


def _describe(home: Path, name: str, main: str, description: str) -> None:
    version = kits()["opensearch"].version
    content = DESCRIPTOR.format(name=name, main=main, description=description, version=version)
    provide(home / "modules" / name / "plugin-descriptor.properties", content.encode())
