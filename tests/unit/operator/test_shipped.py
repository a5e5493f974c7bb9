"""The files that come with Lockstep."""

from pathlib import Path

import pytest

from lockstep.stack.shipped import SAMPLE_DATA, TEMPLATE, IncompleteInstallationError, shipped

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", [TEMPLATE, SAMPLE_DATA])
def test_in_the_repository_each_is_the_repositorys(name: str) -> None:
    assert shipped(name) == ROOT / name


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IncompleteInstallationError) as caught:
        shipped(TEMPLATE, root=tmp_path)
    assert str(caught.value) == f"{tmp_path}/template.yaml is missing: install Lockstep again"
