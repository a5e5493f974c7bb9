"""Versions of objects, for an S3 server that keeps none: each object has the version `null`.

So does S3 in a bucket without versioning, and it asks for the same rights as for other versions:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VersioningConfig.html
"""

from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from tests.gate.recorded import Answered
from tests.gate.requests import Asked, deleted_in

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_XML = {"content-type": "application/xml"}


def with_versions(asked: Asked, forward: Callable[[Asked], Answered]) -> Answered:
    """The answer of the server, with versions if the request asks for them."""
    parts = urlsplit(asked.path)
    query = parse_qs(parts.query, keep_blank_values=True)
    if "versions" in query:
        prefix = query.get("prefix", [""])[0]
        return _listed(asked, forward, parts.path, prefix)
    if "versionId" in query:
        return forward(asked._replace(path=parts.path))
    if "delete" in query and any(version for _, version in deleted_in(asked.body)):
        return _deleted(asked, forward, parts.path)
    return forward(asked)


def _listed(asked: Asked, forward: Callable[[Asked], Answered], path: str, prefix: str) -> Answered:
    found = ""
    more = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    while True:
        status, headers, body = forward(asked._replace(path=f"{path}?{urlencode(more)}"))
        if status != 200:
            return status, headers, body
        answer = ET.fromstring(body)  # noqa: S314 - of our own engine
        for one in answer.iter(f"{{{_NAMESPACE}}}Contents"):
            key, modified = (
                one.findtext(f"{{{_NAMESPACE}}}{tag}") for tag in ("Key", "LastModified")
            )
            found += (
                f"<Version><Key>{escape(key or '')}</Key><VersionId>null</VersionId>"
                f"<IsLatest>true</IsLatest><LastModified>{modified}</LastModified></Version>"
            )
        token = answer.findtext(f"{{{_NAMESPACE}}}NextContinuationToken")
        if token is None:
            break
        more["continuation-token"] = token
    listed = (
        f'<ListVersionsResult xmlns="{_NAMESPACE}"><IsTruncated>false</IsTruncated>'
        f"<EncodingType>url</EncodingType>{found}</ListVersionsResult>"
    )
    return 200, _XML, listed.encode()


def _deleted(asked: Asked, forward: Callable[[Asked], Answered], path: str) -> Answered:
    found = ""
    for key, version in deleted_in(asked.body):
        forward(Asked("s3", "DELETE", f"{path}/{quote(key)}", {}, b""))
        found += f"<Deleted><Key>{escape(key)}</Key><VersionId>{version}</VersionId></Deleted>"
    return 200, _XML, f'<DeleteResult xmlns="{_NAMESPACE}">{found}</DeleteResult>'.encode()
