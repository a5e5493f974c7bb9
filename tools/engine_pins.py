"""Resolve, download and hash the engines, and write pins.json: `python -m tools.engine_pins`.

Run it after you change a version below. `lockstep up` only reads pins.json.
"""

import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import msgspec
from jgo.maven import Artifact, Dependency, MavenContext

from lockstep.local.engines.pins import PINS, Kit, Pin

OPENSEARCH = "3.3.2"
ICU = "77.1"
DYNAMODB = "2.6.1"
S3PROXY = "4.1.0"

# The parts of OpenSearch's distribution that we use. We need no shell scripts and no gRPC, and of
# the security agent only a class that the node needs.
OPENSEARCH_PARTS = ("lib/", "agent/opensearch-agent-bootstrap-", "modules/transport-netty4/")
OPENSEARCH_LEFT_OUT = ("lib/tools/",)
# Clients of other object stores, and the export of metrics. Our S3 stores its objects in a folder.
S3_LEFT_OUT = (
    "com.azure",
    "com.github.openstack4j.core",
    "com.github.openstack4j.core.connectors",
    "com.google.cloud",
    "com.google.jimfs",
    "io.grpc",
    "io.opentelemetry",
    "io.opentelemetry.semconv",
    "io.prometheus",
    "org.apache.sshd",
)


def digest(content: bytes) -> str:
    """The SHA-256 in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


def pinned(artifact: Artifact, folder: str) -> Pin:
    """The pin of an artifact that is installed in this folder of its engine."""
    file = artifact.resolve()
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.packaging}:{artifact.version}"
    return Pin(coordinate, digest(file.read_bytes()), file.stat().st_size, f"{folder}/{file.name}")


def unpacked(artifact: Artifact) -> Pin:
    """The pin of an archive with one top-level folder; only the parts that we use are members."""
    with zipfile.ZipFile(artifact.resolve()) as archive:
        members = {}
        for entry in archive.infolist():
            path = entry.filename.partition("/")[2]
            wanted = path.startswith(OPENSEARCH_PARTS) and not path.startswith(OPENSEARCH_LEFT_OUT)
            if wanted and not entry.is_dir():
                members[path] = digest(archive.read(entry))
    return msgspec.structs.replace(pinned(artifact, ""), path="", members=members)


def with_dependencies(
    maven: MavenContext, group: str, artifact: str, version: str, left_out: Iterable[str] = ()
) -> list[Pin]:
    """The pins of a program and of all jars that it needs at run time; the program is first."""
    program = maven.project(group, artifact).at_version(version).artifact()
    exclusions = [maven.project(name, "*") for name in left_out]
    wanted = Dependency(program, scope="compile", exclusions=exclusions)
    _, dependencies = maven.resolver.resolve([wanted])
    # Without native libraries: DynamoDB Local contains its own, for more platforms.
    jars = [one.artifact for one in dependencies if one.artifact.packaging == "jar"]
    return [pinned(jar, "lib") for jar in [program, *jars]]


def resolve(maven: MavenContext) -> list[Kit]:
    """Resolve the three engines at the versions above."""
    distribution = maven.project("org.opensearch.distribution.integ-test-zip", "opensearch")
    analysis = maven.project("org.opensearch.plugin", "analysis-common")
    opensearch = [
        unpacked(distribution.at_version(OPENSEARCH).artifact(packaging="zip")),
        pinned(analysis.at_version(OPENSEARCH).artifact(), "modules/analysis-common"),
        *(
            pinned(maven.project("com.ibm.icu", name).at_version(ICU).artifact(), "icu")
            for name in ("icu4j", "icu4j-localespi")
        ),
    ]
    dynamodb = with_dependencies(maven, "com.amazonaws", "DynamoDBLocal", DYNAMODB)
    s3 = with_dependencies(maven, "org.gaul", "s3proxy", S3PROXY, S3_LEFT_OUT)
    return [
        Kit("opensearch", OPENSEARCH, opensearch),
        Kit("dynamodb", DYNAMODB, dynamodb),
        Kit("s3", S3PROXY, s3),
    ]


def main() -> None:
    """Write pins.json."""
    with tempfile.TemporaryDirectory() as folder:
        kits = resolve(MavenContext(repo_cache=Path(folder), timeout=120))
    PINS.write_bytes(msgspec.json.format(msgspec.json.encode(kits)) + b"\n")
    for kit in kits:
        size = kit.size / 1e6
        sys.stdout.write(f"{kit.name} {kit.version}: {len(kit.pins)} artifacts, {size:.1f} MB\n")


if __name__ == "__main__":
    main()
