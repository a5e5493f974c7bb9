"""The environment file for `sam local invoke --env-vars`: built functions use this stack."""

from functions.search_images.page_settings import NO_SETTINGS, PageSettings, variables
from lockstep.stack.local_replica import replica_environment
from lockstep.stack.stack import Stack


def env_vars(stack: Stack) -> dict[str, dict[str, str]]:
    """The environment of each function, by its name in template.yaml.

    With a replica, also that of its function, by its name in template-tablestore.yaml.

    Contains only the variables that depend on the stack; the template has the others. For a service
    without its own endpoint, the SDK uses its default.
    """
    names = {
        "TABLE_NAME": stack.table,
        "QUARANTINE_BUCKET": stack.bucket,
        "OPENSEARCH_ENDPOINT": stack.endpoints.opensearch,
        "OPENSEARCH_SIGNING": stack.opensearch_signing,
        "INDEX_ALIAS": stack.index,
        "TABLE_CHANGES_STREAM": stack.changes_stream or None,
        "LIVE_ALIAS": stack.live,
        "SEARCH_FACETS": ",".join(stack.search_facets) or None,
        **_of_pictures(stack),
        **{name: value or None for name, value in variables(PageSettings(**stack.page)).items()},
        "AWS_ENDPOINT_URL_DYNAMODB": stack.endpoints.dynamodb,
        "AWS_ENDPOINT_URL_S3": stack.endpoints.s3,
    }
    found = {
        function: {name: value for name in needed if (value := names[name]) is not None}
        for function, needed in _NEEDED.items()
    }
    if stack.replica is not None:
        found["WriteToTablestore"] = {
            **replica_environment(stack, stack.replica),
            "QUARANTINE_BUCKET": stack.replica.bucket,
            "AWS_ENDPOINT_URL_S3": stack.endpoints.s3 or "",
        }
    return found


def _of_pictures(stack: Stack) -> dict[str, str | None]:
    """What the search function needs to link to pictures; nothing if the stack has none."""
    if stack.pictures is None:
        return dict.fromkeys(_PICTURES)
    pictures, thumbnails = stack.pictures.bucket, stack.pictures.thumbnails
    values = (pictures, *(_address(stack, bucket) for bucket in (pictures, thumbnails)))
    return dict(zip(_PICTURES, values, strict=True))


def _address(stack: Stack, bucket: str) -> str:
    """The regional address of a bucket; that of a local one has the bucket in its path."""
    if stack.endpoints.s3 is not None:
        return f"{stack.endpoints.s3}/{bucket}"
    return f"https://{bucket}.s3.{stack.region}.amazonaws.com"


_PICTURES = ("PICTURE_BUCKET", "PICTURES_ENDPOINT", "THUMBNAILS_ENDPOINT")
_NEEDED = {
    "SearchImages": (
        "OPENSEARCH_ENDPOINT",
        "OPENSEARCH_SIGNING",
        "LIVE_ALIAS",
        "TABLE_NAME",
        "SEARCH_FACETS",
        *variables(NO_SETTINGS),
        *_PICTURES,
        "AWS_ENDPOINT_URL_DYNAMODB",
    ),
    "WriteToDynamodb": (
        "TABLE_NAME",
        "QUARANTINE_BUCKET",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ENDPOINT_URL_S3",
    ),
    "WriteToEs": (
        "OPENSEARCH_ENDPOINT",
        "OPENSEARCH_SIGNING",
        "INDEX_ALIAS",
        "TABLE_CHANGES_STREAM",
        "QUARANTINE_BUCKET",
        "AWS_ENDPOINT_URL_S3",
    ),
}
