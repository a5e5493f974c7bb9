"""S3 by S3Proxy: an object is a file in a folder, so it survives a crash of the server.

It answers signed requests only, as Amazon's does. So a presigned link expires.
"""

import string
from pathlib import Path

from lockstep.local.engines.java import archive, java_service, local_names
from lockstep.local.processes import Service
from lockstep.stack.clients import LOCAL_CREDENTIALS
from lockstep.web.addresses import HOST

# Without a configuration, logback logs every byte that is transferred.
LOGGING = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{ISO8601} %-5level %logger{30} %msg%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="out"/></root>
</configuration>
"""
# The folder must be absolute: with a relative path S3Proxy lists no objects. A Lambda function has
# temporary credentials, whose header S3Proxy refuses unless it ignores unknown headers.
SETTINGS = """\
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={credentials}
s3proxy.credential={credentials}
s3proxy.endpoint=http://{host}:{port}
s3proxy.ignore-unknown-headers=true
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={objects}
"""


# It checks the signature of a content with all of it in memory. AWS CLI sends ten parts at a time.
_MEMORY = ("-Xms128m", "-Xmx512m")


def s3(home: Path, state: Path, port: int, *, host: str = HOST) -> Service:
    """S3Proxy, run from `home`, with the objects in `state`/s3/objects.

    It listens on `host`, and refuses requests for host names that are not local. The access key and
    the secret key are `LOCAL_CREDENTIALS`. This writes its configuration to the state folder.
    """
    folder = state / "s3"
    objects = folder / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    settings = SETTINGS.format(
        credentials=LOCAL_CREDENTIALS, host=host, port=port, objects=_property(str(objects))
    )
    (folder / "logback.xml").write_text(LOGGING, "utf-8")
    (folder / "s3proxy.conf").write_text(settings, "ascii")
    return java_service(
        "s3",
        state,
        port,
        options=[*_MEMORY, "-Dlogback.configurationFile=logback.xml"],
        classpath=f"{local_names(home)}:{home / 'lib'}/*",
        classes=archive(home),
        main="lockstep.engines.S3",
        arguments=["s3proxy.conf"],
        host=host,
    )


def _property(text: str) -> str:
    r"""A value for a Java properties file: Latin-1, with \ as the escape character."""
    units = memoryview(text.encode("utf-16-le")).cast("H")
    plain = {ord(character) for character in string.ascii_letters + string.digits + "/._-"}
    return "".join(chr(unit) if unit in plain else f"\\u{unit:04x}" for unit in units)
