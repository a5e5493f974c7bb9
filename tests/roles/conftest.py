"""An OpenSearch that asks who somebody is: the security plugin, as Amazon's service has it.

Not that of the other tests: the plugin is not published for their version. So this is a run of its
own (`make roles`), which fetches some 180 MB.
"""

import dataclasses
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jgo.maven import MavenContext
from opensearchpy import OpenSearch

from lockstep.local.engines.opensearch import opensearch
from lockstep.local.engines.pins import kits
from lockstep.local.ports import free_ports
from lockstep.local.processes import Service, start, stop, wait_until_ready
from lockstep.web.addresses import HOST
from tests.certificates import self_signed
from tools.engines import READY_SECONDS, cache, engine_home

VERSION = "3.4.0"
_NODE = f"org.opensearch.distribution.integ-test-zip:opensearch:zip:{VERSION}"
_PLUGIN = f"org.opensearch.plugin:opensearch-security:zip:{VERSION}.0"
_ANALYSIS = f"org.opensearch.plugin:analysis-common:jar:{VERSION}"
# Of a plugin that is published nowhere, and that only it needs.
_COLLECTIONS = "org.apache.commons:commons-collections4:jar:4.4"

MASTER = "master"
SECURITY = "opensearch-security"
# Everybody's here, and what the plugin keeps of it.
_PASSWORD = "pw"
_HASH = "$2y$04$wmKDmr3/thNCVZmmJEH0YuUHw.uGuCr3PIs3yN1OU7WqCrGzWO7DW"


# Who may come, and the roles that each has in IAM: on Amazon's service, the backend roles.
USERS: Mapping[str, Sequence[str]] = {
    MASTER: ["admin"],
    "writer": ["arn:aws:iam::000000000000:role/writer"],
    "reader": ["arn:aws:iam::000000000000:role/reader"],
    "auditor": ["arn:aws:iam::000000000000:role/auditor"],
    "operator": ["arn:aws:iam::000000000000:role/operator"],
    "nobody": ["arn:aws:iam::000000000000:role/nobody"],
}


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[[str], OpenSearch]]:
    """A function that gives a client of whoever has this role in IAM, or of the master user."""
    ports = free_ports(("http", "transport"), {})
    with tempfile.TemporaryDirectory(prefix="lockstep-roles-") as folder:
        child = start(_secured(_home(), Path(folder), ports))
        try:
            wait_until_ready([child], seconds=READY_SECONDS)
            yield lambda user: OpenSearch(
                [f"http://{HOST}:{ports['http']}"],
                http_auth=(user, _PASSWORD),
                timeout=30,
                max_retries=0,
            )
        finally:
            stop([child])


def _home() -> Path:
    """The node and its plugin, unpacked."""
    home = cache() / "tests" / f"opensearch-secured-{VERSION}"
    if home.is_dir():
        return home
    maven = MavenContext()
    unfinished = home.with_name(f"{home.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _unpack(_fetched(maven, _NODE), unfinished)
    node = unfinished / f"opensearch-{VERSION}"
    plugin = node / "plugins" / "opensearch-security"
    _unpack(_fetched(maven, _PLUGIN), plugin)
    shutil.copy(_fetched(maven, _COLLECTIONS), plugin)
    descriptor = plugin / "plugin-descriptor.properties"
    lines = descriptor.read_text("utf-8").splitlines(keepends=True)
    # It names that unpublished plugin, without which it does all that is asked of it here.
    kept = [line for line in lines if not line.startswith("extended.plugins")]
    descriptor.write_text("".join(kept), "utf-8")
    analysis = node / "modules" / "analysis-common"
    analysis.mkdir()
    shutil.copy(_fetched(maven, _ANALYSIS), analysis)
    shutil.copytree(engine_home("opensearch") / "icu", node / "icu")
    node.rename(home)
    unfinished.rmdir()
    return home


def _fetched(maven: MavenContext, coordinate: str) -> Path:
    group, artifact, packaging, version = coordinate.split(":")
    at = maven.project(group, artifact).at_version(version)
    return Path(at.artifact(packaging=packaging).resolve())


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)


def _secured(home: Path, state: Path, ports: Mapping[str, int]) -> Service:
    """The node with the plugin's configuration, and users as IAM would name them."""
    service = opensearch(home, state, ports["http"], ports["transport"])
    # The engine's own version is another.
    ours = kits()["opensearch"].version
    descriptor = home / "modules" / "analysis-common" / "plugin-descriptor.properties"
    descriptor.write_text(descriptor.read_text("utf-8").replace(ours, VERSION), "utf-8")
    # A node has one plugin at most that looks at each request.
    shutil.rmtree(home / "modules" / "local-names")
    config = state / "opensearch" / "config"
    shutil.copytree(home / "plugins" / "opensearch-security" / "config", config / SECURITY)
    users = {"_meta": {"type": "internalusers", "config_version": 2}}
    users |= {name: {"hash": _HASH, "backend_roles": list(has)} for name, has in USERS.items()}
    (config / SECURITY / "internal_users.yml").write_bytes(msgspec.json.encode(users))
    _write_certificate(config)
    settings = msgspec.json.decode((config / "opensearch.yml").read_bytes(), type=dict[str, Any])
    settings |= {
        "plugins.security.ssl.transport.pemcert_filepath": "node.pem",
        "plugins.security.ssl.transport.pemkey_filepath": "key.pem",
        "plugins.security.ssl.transport.pemtrustedcas_filepath": "node.pem",
        "plugins.security.ssl.transport.enforce_hostname_verification": False,
        "plugins.security.allow_default_init_securityindex": True,
        "plugins.security.nodes_dn": ["CN=node"],
        "plugins.security.restapi.roles_enabled": ["all_access"],
    }
    (config / "opensearch.yml").write_bytes(msgspec.json.encode(settings))
    return dataclasses.replace(service, health="/_plugins/_security/health")


def _write_certificate(folder: Path) -> None:
    """The plugin requires TLS between nodes, even for a single node."""
    made = self_signed("node")
    (folder / "node.pem").write_bytes(made.certificate)
    (folder / "key.pem").write_bytes(made.key)
