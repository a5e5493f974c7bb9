"""The settings of the command line: the stack, the folder of the local stack, and the region.

Each comes from the first of these that has it: an option, the environment, the configuration file,
the default. `docs/guides/settings.md` says so to users.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lockstep.console.errors import UserError
from lockstep.stack.stack import STATE


class ConfigurationError(UserError):
    """The configuration file cannot be used; the message says why."""


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a configuration file may say."""

    stack: str | None = None
    state: str | None = None
    region: str | None = None


class ToolSettings(msgspec.Struct, frozen=True):
    """What environment and configuration file say, without the options.

    Attributes:
        stack: the name of a deployed stack; None: the local stack.
        stack_from: where the name is from, for messages.
        state: the folder of the local stack.
        region: the region of AWS; None: that of the AWS profile.
    """

    stack: str | None
    stack_from: str
    state: Path
    region: str | None


def default_file(environment: Mapping[str, str]) -> Path:
    """The configuration file that is read if no other is given."""
    folder = environment.get("XDG_CONFIG_HOME", "")
    # The specification says that a relative path must be ignored.
    base = Path(folder) if Path(folder).is_absolute() else Path(_home()) / ".config"
    return base / "lockstep" / "config.toml"


def _home() -> str:
    """The home of the user. Without one, a folder that does not exist."""
    return os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises without one


def read_settings(environment: Mapping[str, str], file: Path | None) -> ToolSettings:
    """The settings. An empty variable is one that is not set.

    Args:
        environment: the variables of the process.
        file: the configuration file that the user gave, if any.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or has other keys or types. The
            default file need not exist.
    """
    path = default_file(environment) if file is None else file
    found = _read(path, needed=file is not None)
    stack, stack_from = environment.get("LOCKSTEP_STACK") or None, "LOCKSTEP_STACK"
    if stack is None:
        stack, stack_from = found.stack or None, f"`stack` in {path}"
    named = environment.get("LOCKSTEP_STATE")
    state = Path(named) if named else STATE
    if not named and found.state:
        # Relative to the file: the same folder, wherever the command is typed.
        state = path.parent / Path(found.state).expanduser()
    region = (
        environment.get("LOCKSTEP_REGION") or found.region or environment.get("AWS_REGION") or None
    )
    return ToolSettings(stack, stack_from, state, region)


def _read(path: Path, *, needed: bool) -> Configuration:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Configuration)
    except (FileNotFoundError, NotADirectoryError):
        if needed:
            raise ConfigurationError(f"{path}: no such file") from None
        return Configuration()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except msgspec.ValidationError as error:
        known = ", ".join(Configuration.__struct_fields__)
        raise ConfigurationError(f"{path}: {error}; it may have the keys {known}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
