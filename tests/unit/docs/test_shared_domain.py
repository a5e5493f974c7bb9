"""The guide to a shared domain has the roles that the deployment creates elsewhere."""

import json
import re
from pathlib import Path

from functions.write_to_es.roles import ROLE_NAMES, role

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "shared-domain.md"
# Without Dashboards nobody stores charts.
NOT_THERE = {"dashboards"}


def test_the_guide_has_each_role_as_the_deployment_creates_it() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    expected = {
        f"images_{name}": role("images", name) for name in ROLE_NAMES if name not in NOT_THERE
    }
    assert json.loads(block) == expected
