"""Which actions on which resources a request to a service needs.

The actions, resources and condition keys are those of
https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

import msgspec

from lockstep.local.mapping.invocation import ACCOUNT, stream_arn
from lockstep.stack.stack import REPLICA_CONSUMER, Stack
from tests.gate.evaluator import Call
from tests.gate.policies import log_group

_TABLE = re.compile(r'(?:FROM|INTO|UPDATE)\s+"([^"]+)"', re.IGNORECASE)
_PARTIQL = {
    "SELECT": "PartiQLSelect",
    "INSERT": "PartiQLInsert",
    "UPDATE": "PartiQLUpdate",
    "DELETE": "PartiQLDelete",
}
_S3 = {
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "PUT": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}


class Asked(NamedTuple):
    """A request to one service."""

    service: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def calls_of(asked: Asked, stack: Stack, key: str | None = None) -> Sequence[Call]:
    """What a request needs.

    Args:
        asked: the request.
        stack: the stack that it is to.
        key: the ARN of the customer's key of the stream and the bucket, if they have one.
    """
    match asked.service:
        case "dynamodb":
            return list(_dynamodb(asked, stack))
        case "kinesis":
            return list(_kinesis(asked, stack, key))
        case "s3":
            return list(_s3(asked, key))
        case "opensearch":
            path = urlsplit(asked.path).path.removeprefix("/")
            domain = f"arn:aws:es:{stack.region}:{ACCOUNT}:domain/{DOMAIN}"
            return [Call(f"es:ESHttp{asked.method.capitalize()}", f"{domain}/{unquote(path)}")]
        case "cloudformation":
            (action,) = parse_qs(asked.body.decode())["Action"]
            return [Call(f"cloudformation:{action}", stack_arn(stack))]
        case "lambda":
            return [_lambda(asked, stack)]
        case "cloudwatch":
            return [_cloudwatch(asked, stack)]
        case "logs" | "secretsmanager" | "sns" | "sqs" | "sts":
            return list(_of_one_resource(asked, stack))
        case "api":
            api = f"arn:aws:execute-api:{stack.region}:{ACCOUNT}:{API}"
            return [Call("execute-api:Invoke", f"{api}/$default/{asked.method}{asked.path}")]
        case _:
            raise NotImplementedError(asked.service)


# The name of the domain, how the name of a table begins that somebody restores for the stack, and
# the ID of the search API, in the rendered policies.
DOMAIN = "lockstep-images"
RESTORED = "lockstep-restored"
API = "SearchApi"
# The function of a replica in Table Store.
REPLICA = REPLICA_CONSUMER


def stack_arn(stack: Stack) -> str:
    """The ID of the CloudFormation stack."""
    return f"arn:aws:cloudformation:{stack.region}:{ACCOUNT}:stack/lockstep/local"


def shard_rule_arn(stack: Stack) -> str:
    """The rule of CloudWatch that counts the records of each shard."""
    return f"arn:aws:cloudwatch:{stack.region}:{ACCOUNT}:insight-rule/lockstep-shards"


def alarms_arn(stack: Stack) -> str:
    """How the ARN of each alarm of the stack begins."""
    return f"arn:aws:cloudwatch:{stack.region}:{ACCOUNT}:alarm:lockstep-"


def function_arn(stack: Stack) -> str:
    """The function of a replica in Table Store."""
    return f"arn:aws:lambda:{stack.region}:{ACCOUNT}:function:{REPLICA}"


def table_stream_arn(stack: Stack, label: str) -> str:
    """The stream of the table's changes of this label."""
    return f"arn:aws:dynamodb:{stack.region}:{ACCOUNT}:table/{stack.table}/stream/{label}"


def topic_arn(stack: Stack, severity: str) -> str:
    """The ARN of the customer's topic for alarms of this severity."""
    return f"arn:aws:sns:{stack.region}:{ACCOUNT}:{severity}s"


def _operation(asked: Asked) -> str:
    return asked.headers["x-amz-target"].rpartition(".")[2]


def _lambda(asked: Asked, stack: Stack) -> Call:
    path = urlsplit(asked.path).path.rstrip("/")
    if path.endswith("/configuration"):
        return Call("lambda:GetFunctionConfiguration", function_arn(stack))
    assert path.endswith("/event-source-mappings")
    return Call("lambda:ListEventSourceMappings", "*")


def _cloudwatch(asked: Asked, stack: Stack) -> Call:
    operation = _operation(asked)
    if operation == "GetInsightRuleReport":
        return Call(f"cloudwatch:{operation}", shard_rule_arn(stack))
    if operation != "SetAlarmState":
        return Call(f"cloudwatch:{operation}", "*")
    name = msgspec.json.decode(asked.body)["AlarmName"]
    return Call(f"cloudwatch:{operation}", alarms_arn(stack) + name.removeprefix("lockstep-"))


def _of_one_resource(asked: Asked, stack: Stack) -> Iterator[Call]:
    """What a request needs that names its topic, queue, secret or log group.

    GetCallerIdentity of STS needs no right:
    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    if asked.service == "sts":
        return
    if asked.service == "sns":
        form = parse_qs(asked.body.decode())
        yield Call(f"sns:{form['Action'][0]}", form["TopicArn"][0])
        return
    operation, body = _operation(asked), msgspec.json.decode(asked.body)
    if asked.service == "sqs":
        queue = body["QueueUrl"].rpartition("/")[2]
        yield Call(f"sqs:{operation}", f"arn:aws:sqs:{stack.region}:{ACCOUNT}:{queue}")
    elif asked.service == "secretsmanager":
        yield Call(f"secretsmanager:{operation}", body["SecretId"])
    else:
        yield Call(f"logs:{operation}", log_group(body["logGroupName"], stack.region))


def _dynamodb(asked: Asked, stack: Stack) -> Iterator[Call]:
    operation, body = _operation(asked), msgspec.json.decode(asked.body)
    tables = f"arn:aws:dynamodb:{stack.region}:{ACCOUNT}:table"
    if asked.headers["x-amz-target"].startswith("DynamoDBStreams"):
        yield Call(f"dynamodb:{operation}", body.get("StreamArn", f"{tables}/{stack.table}"))
        return
    match operation:
        case "BatchExecuteStatement":
            for one in body["Statements"]:
                yield _statement(one["Statement"], tables)
        case "ExecuteStatement":
            yield _statement(body["Statement"], tables)
        case "BatchGetItem":
            for table, wanted in body["RequestItems"].items():
                keys = tuple(str(*key["image_id"].values()) for key in wanted["Keys"])
                context = (("dynamodb:LeadingKeys", keys), *_attributes(wanted))
                yield Call("dynamodb:BatchGetItem", f"{tables}/{table}", context)
        case "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem":
            item = body.get("Key") or body["Item"]
            key = item.get("image_id") or item["key"]
            context = (("dynamodb:LeadingKeys", tuple(key.values())), *_attributes(body))
            yield Call(f"dynamodb:{operation}", f"{tables}/{body['TableName']}", context)
        case "TagResource" | "ListTagsOfResource":
            # DynamoDB Local has a region of its own in the ARN of a table.
            table = body["ResourceArn"].rpartition("/")[2]
            yield Call(f"dynamodb:{operation}", f"{tables}/{table}")
        case "DescribeKinesisStreamingDestination" | "EnableKinesisStreamingDestination":
            yield Call(f"dynamodb:{operation}", f"{tables}/{body['TableName']}")
            yield from _destination(operation, stack)
        case _:
            yield Call(f"dynamodb:{operation}", f"{tables}/{body['TableName']}", _attributes(body))


def _destination(operation: str, stack: Stack) -> Iterator[Call]:
    """What the caller needs of the stream that gets the table's changes.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds_iam.html
    """
    arn = stream_arn(stack.changes_stream, stack.region)
    yield Call("kinesis:DescribeStream", arn)
    if operation.startswith("Enable"):
        yield Call("kinesis:PutRecords", arn)
        yield Call("kinesis:ListStreams", "*")
    else:
        yield Call("kinesis:DescribeStreamSummary", arn)


def _statement(statement: str, tables: str) -> Call:
    (table,) = _TABLE.findall(statement)
    verb = statement.split(maxsplit=1)[0].upper()
    return Call(f"dynamodb:{_PARTIQL[verb]}", f"{tables}/{table}")


def _attributes(body: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The attributes that a request names in its projection."""
    names = body.get("ExpressionAttributeNames", {})
    named = [one.strip() for one in body.get("ProjectionExpression", "").split(",") if one]
    found = tuple(sorted(names.get(one, one) for one in named))
    return (("dynamodb:Attributes", found),) if found else ()


def _kinesis(asked: Asked, stack: Stack, key: str | None) -> Iterator[Call]:
    """A customer's key: https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html."""
    operation, body = _operation(asked), msgspec.json.decode(asked.body)
    # What only names an iterator or a token is about the stream from which that is.
    arn = body.get("StreamARN") or stream_arn(body.get("StreamName", stack.stream), stack.region)
    yield Call(f"kinesis:{operation}", arn)
    if key and operation.startswith("PutRecord"):
        yield Call("kms:GenerateDataKey", key)
    if key and operation == "GetRecords":
        yield Call("kms:Decrypt", key)


def _s3(asked: Asked, key: str | None) -> Iterator[Call]:
    """A customer's key: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html."""
    parts = urlsplit(asked.path)
    bucket, _, name = unquote(parts.path).removeprefix("/").partition("/")
    query = parse_qs(parts.query, keep_blank_values=True)
    arn = f"arn:aws:s3:::{bucket}"
    if name:
        yield from _object(asked, query, f"{arn}/{name}", key)
    elif "delete" in query:
        for key_of, version in deleted_in(asked.body):
            yield Call("s3:DeleteObject" + ("Version" if version else ""), f"{arn}/{key_of}")
    elif "versions" in query:
        yield Call("s3:ListBucketVersions", arn)
    elif "uploads" in query:
        yield Call("s3:ListBucketMultipartUploads", arn)
    elif asked.method == "GET":
        prefix = query.get("prefix", [""])[0]
        yield Call("s3:ListBucket", arn, (("s3:prefix", prefix),))
    elif asked.method == "HEAD":
        yield Call("s3:ListBucket", arn)
    else:
        raise NotImplementedError(f"{asked.method} {asked.path}")


def _object(
    asked: Asked, query: Mapping[str, Sequence[str]], arn: str, key: str | None
) -> Iterator[Call]:
    if "x-amz-copy-source" in asked.headers:
        raise NotImplementedError(f"{asked.method} {asked.path}")
    if "uploads" in query or "uploadId" in query:
        yield from _multipart(asked.method, arn, key)
        return
    if asked.method == "HEAD":
        # Without it, S3 does not tell that a key has no object:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        yield Call("s3:ListBucket", arn.partition("/")[0])
    yield Call(_S3[asked.method] + ("Version" if "versionId" in query else ""), arn)
    if key and asked.method in {"GET", "HEAD"}:
        yield Call("kms:Decrypt", key)
    if key and asked.method == "PUT":
        yield Call("kms:GenerateDataKey", key)


def _multipart(method: str, arn: str, key: str | None) -> Iterator[Call]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions."""
    if method == "GET":
        yield Call("s3:ListMultipartUploadParts", arn)
        return
    if method == "DELETE":
        yield Call("s3:AbortMultipartUpload", arn)
        return
    yield Call("s3:PutObject", arn)
    if key:
        yield Call("kms:GenerateDataKey", key)
        yield Call("kms:Decrypt", key)


def deleted_in(body: bytes) -> Sequence[tuple[str, str | None]]:
    """The keys in a DeleteObjects request, and their versions, if it names any."""
    found: list[tuple[str, str | None]] = []
    for one in ET.fromstring(body).iter():  # noqa: S314 - of our own command
        if one.tag.endswith("Object"):
            named = {each.tag.rpartition("}")[2]: each.text for each in one}
            found.append((named["Key"] or "", named.get("VersionId")))
    return found
