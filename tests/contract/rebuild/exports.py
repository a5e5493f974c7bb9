"""Writes an export to S3 as DynamoDB does, in either format."""

import base64
import datetime as dt
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

ID = "01795248000123-a1b2c3d4"


def ion(value: Mapping[str, Any]) -> str:
    """A value in DynamoDB's low-level form as Ion text."""
    ((kind, plain),) = value.items()
    match kind:
        case "S":
            return msgspec.json.encode(plain).decode()
        case "N":
            return f"{plain}." if plain.isdigit() else plain
        case "BOOL":
            return "true" if plain else "false"
        case "NULL":
            return "null"
        case "B":
            return f"{{{{{base64.b64encode(plain).decode()}}}}}"
        case "L":
            return f"[{','.join(map(ion, plain))}]"
        case "M":
            fields = (f"{ion({'S': name})}:{ion(one)}" for name, one in plain.items())
            return f"{{{','.join(fields)}}}"
        case _:
            members = ",".join(ion({kind[0]: one}) for one in plain)
            return f"$dynamodb_{kind}::[{members}]"


def line(item: Mapping[str, Any], output: str) -> bytes:
    if output == "ION":
        return f"$ion_1_0 {{Item:{ion({'M': item})}}}\n".encode()
    return msgspec.json.encode({"Item": item}) + b"\n"


def put_export(
    s3: Any,
    bucket: str,
    files: Sequence[Sequence[Mapping[str, Any]]],
    *,
    table: str,
    output: str = "DYNAMODB_JSON",
    at: dt.datetime | None = None,
    **summary: Any,
) -> str:
    """Write an export, one file for each list of items; `summary` replaces its fields."""
    prefix = f"nightly/AWSDynamoDB/{ID}"
    listed = []
    for number, items in enumerate(files):
        body = gzip.compress(b"".join(line(item, output) for item in items))
        key = f"nightly/AWSDynamoDB/data/{number}.{output[-4:].lower()}.gz"
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        listed.append(
            {"itemCount": len(items), "md5Checksum": md5, "etag": "x", "dataFileS3Key": key}
        )
    s3.put_object(
        Bucket=bucket,
        Key=f"{prefix}/manifest-files.json",
        Body=b"".join(msgspec.json.encode(one) + b"\n" for one in listed),
    )
    at = at or dt.datetime.now(dt.UTC)
    said = {
        "version": "2020-06-30",
        "exportArn": f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}/export/{ID}",
        "startTime": at,
        "endTime": at,
        "tableArn": f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}",
        "tableId": "12345a12-abcd-123a-ab12-1234abc12345",
        "exportTime": at,
        "s3Bucket": bucket,
        "s3Prefix": "nightly",
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{prefix}/manifest-files.json",
        "billedSizeBytes": 0,
        "itemCount": sum(map(len, files)),
        "outputFormat": output,
    }
    key = f"{prefix}/manifest-summary.json"
    s3.put_object(Bucket=bucket, Key=key, Body=msgspec.json.encode(said | summary))
    return f"s3://{bucket}/{prefix}"
