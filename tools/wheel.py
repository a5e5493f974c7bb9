"""Hatchling's build hook: make a wheel that installs `lockstep` as its only top-level package.

`shared`, `doors` and `functions` go into `lockstep/_bundle`, and their imports are rewritten. So a
project that has a package with one of these names can use the wheel. `pyproject.toml` says which
files go where. An editable install uses the repository without changes.
"""

import ast
import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilderConfig

HOME = "lockstep._bundle"
_MOVED = re.compile(r"(doors|functions|shared)(\.\w+)*")
_INIT = '"""The functions and their shared code, which are top-level in the repository."""\n'


class MovedNameError(ValueError):
    """The source uses a moved package in a form that cannot be rewritten; says what to write."""


def rewritten(source: str, name: str) -> str:
    """The module's source, with its imports of the moved packages rewritten.

    Args:
        source: a module that imports `shared`, `doors` and `functions` from the top level.
        name: the module's file, for messages.

    Raises:
        MovedNameError: a moved package is imported by `import shared.x`, or is named in a string.
    """
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source, name)):
        match node:
            case ast.ImportFrom(module=str(module), level=0) if _MOVED.fullmatch(module):
                line, start = lines[node.lineno - 1], node.col_offset
                statement = f"from {module} import"
                if not line.startswith(statement, start):
                    raise MovedNameError(f"{name}:{node.lineno}: write `{statement}` on one line")
                lines[node.lineno - 1] = f"{line[:start]}from {HOME}.{line[start + 5 :]}"
            case ast.Import(names) if any(_MOVED.fullmatch(one.name) for one in names):
                raise MovedNameError(f"{name}:{node.lineno}: write `from ... import ...`")
            case ast.Constant(str(text)) if "." in text and _MOVED.fullmatch(text):
                message = f"{name}:{node.lineno}: {text!r} is another module in the wheel"
                raise MovedNameError(message)
    return "".join(lines)


class BundleHook(BuildHookInterface[WheelBuilderConfig]):
    """Replaces each module that imports a moved package with its rewritten form."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the rewritten modules, before hatchling collects the files."""
        if version != "standard":
            return
        self._folder = tempfile.TemporaryDirectory()  # deleted with this hook, after the build
        self._replace(f"{HOME.replace('.', '/')}/__init__.py", _INIT, build_data)
        for file in list(self.build_config.builder.recurse_included_files()):
            if file.path.endswith(".py"):
                source = Path(file.path).read_text("utf-8")
                if (new := rewritten(source, file.relative_path)) != source:
                    self._replace(file.distribution_path, new, build_data)

    def _replace(self, path: str, source: str, build_data: dict[str, Any]) -> None:
        file = Path(self._folder.name) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, "utf-8")
        build_data["force_include"][str(file)] = path
