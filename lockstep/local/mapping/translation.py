"""Turns a SAM template into CloudFormation, with SAM's translator, as a deployment does.

The translator takes half a second to import, and several processes of each local stack need the
same translation. So it is kept in a cache.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from lockstep.local.mapping.intrinsics import TemplateError

# The code runs from its folder; the translator only requires an address of packaged code.
_PACKAGED_CODE = "s3://local/code"
# How many translations a cache keeps: each change of a template makes another one.
KEPT = 20


def translated(template: Path, region: str, cache: Path | None = None) -> Mapping[str, Any]:
    """The template as CloudFormation, as JSON has it; sends no requests.

    Args:
        template: the file.
        region: of the stack.
        cache: the folder that keeps translations. What depends on the template, on the region, on
            the translator or on this module is never mixed up. If the folder cannot be read or
            written, the template is translated again.

    Raises:
        TemplateError: it is not valid YAML, or not a valid SAM template.
    """
    try:
        content = template.read_bytes()
    except OSError as error:
        message = f"{template}: cannot be read: {error.strerror}: use another file with --template"
        raise TemplateError(message) from None
    if cache is None:
        return _translated(content, template, region)
    kept = cache / f"{_key(content, region)}.json"
    with suppress(OSError, msgspec.DecodeError):
        found: Mapping[str, Any] = msgspec.json.decode(kept.read_bytes())
        return found
    result = _translated(content, template, region)
    with suppress(OSError):
        _keep(kept, msgspec.json.encode(result))
    return result


def _keep(file: Path, content: bytes) -> None:
    """Write a file atomically, and remove the oldest ones of its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # The processes of a stack start, and so write, at the same time.
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(file)
    for old in sorted(file.parent.glob("*.json"), key=lambda one: one.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)


def _key(content: bytes, region: str) -> str:
    """Differs if anything differs on which a translation depends."""
    translator = version("aws-sam-translator")
    parts = [content, region.encode(), translator.encode(), Path(__file__).read_bytes()]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _translated(content: bytes, template: Path, region: str) -> Mapping[str, Any]:
    # Slow, and not needed if the translation is in the cache.
    import yaml  # noqa: PLC0415
    from boto3.session import Session  # noqa: PLC0415
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415
    from samtranslator.yaml_helper import yaml_parse  # noqa: PLC0415

    try:
        document = yaml_parse(content.decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        # A YAML error has several lines.
        raise TemplateError(f"{template}: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{template}: not a template: it has no Resources")
    _replace_code(document)
    translator = Translator(None, Parser(), boto_session=Session(region_name=region))
    try:
        result = translator.translate(document, parameter_values={}, get_managed_policy_map=dict)
    except InvalidDocumentException as error:
        causes = "; ".join(str(cause.message) for cause in error.causes)
        raise TemplateError(f"{template}: {causes or error}") from None
    # The same, whether it comes from the cache or not: YAML has more types than JSON.
    as_json: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(result))
    return as_json


def _replace_code(document: dict[str, Any]) -> None:
    """Replace paths of local code, because the translator accepts packaged code only."""
    sections = [document.get("Globals", {}).get("Function", {})]
    sections += [
        resource.get("Properties", {})
        for resource in document["Resources"].values()
        if isinstance(resource, dict)
    ]
    for section in sections:
        for where in ("CodeUri", "ContentUri"):
            if isinstance(section.get(where), str):
                section[where] = _PACKAGED_CODE
