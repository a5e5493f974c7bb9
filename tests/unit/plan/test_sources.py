"""The figures of the data files are those of their sources; a bad file of prices is one line."""

import re
from pathlib import Path

import pytest
import yaml

from lockstep.plan import sources
from lockstep.plan.index import DISKS_GIB
from lockstep.plan.sources import PricesError, measured, own_prices, read_prices

ROOT = Path(__file__).parents[3]
OWN = Path(sources.__file__).with_name("prices.toml")


@pytest.mark.parametrize("name", measured())
def test_a_measured_figure_is_what_its_page_says(name: str) -> None:
    figure = measured()[name]
    # A line may end anywhere in a sentence.
    page = " ".join((ROOT / figure.page).read_text().split())
    pattern = re.compile(figure.pattern)
    if pattern.groups:
        found = pattern.search(page)
        assert found, f"{figure.page} has no `{figure.pattern}`"
        said = float(found[1].replace(",", ""))
    else:
        said = len(pattern.findall(page))
    assert figure.value == said, f"{figure.page} says {said}: correct lockstep/plan/measured.toml"


def test_the_disks_are_those_of_the_template() -> None:
    listed = re.search(
        r"OpenSearchVolumeGiB:\n.*\n.*\n +AllowedValues: (\[.*\])",
        (ROOT / "template.yaml").read_text(),
    )
    assert listed
    assert list(DISKS_GIB) == yaml.safe_load(listed[1])


def test_each_price_and_limit_names_the_page_of_aws_that_has_it() -> None:
    own = own_prices()
    every = [one.source for one in (*own.prices.values(), *own.limits.values())]
    for source in (*every, *(node.source for node in own.nodes)):
        assert re.match(r"https://(docs\.)?aws\.amazon\.com/\S+$", source)
    assert not any(one.checked for one in own.prices.values())
    assert sum(one.checked for one in own.limits.values()) == len(own.limits) - 1


def test_the_own_file_can_be_given(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text(OWN.read_text().replace('"us-east-1"', '"eu-central-1"'))
    given = read_prices(file)
    assert given.region == "eu-central-1"
    assert given.prices == own_prices().prices


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('region = "us-east-1"', "region = ", "Invalid value"),
        ('region = "us-east-1"', "", "missing required field `region`"),
        ('region = "us-east-1"', 'region = "a"\nother = 1', "unknown field `other`"),
        ("value = 0.015", 'value = "0.015"', "Expected `float`, got `str`"),
        ("value = 0.015", "value = 0", "Expected `float` >= 1e-09"),
        ("value = 0.015", "value = inf", "[prices.shard_hour_dollars]: Expected `float` <= 1"),
        ("value = 0.05\n", "value = 1\n", "[limits.linux_reserved_share] must be below 1"),
        ("value = 0.015", "value = nan", "Expected `float` >= 1e-09"),
        ("[prices.shard_hour_dollars]", "[prices.shard_hour]", "[prices.shard_hour_dollars] is"),
        (
            "[limits.account_shards]",
            "[prices.account_shards]",
            "there is no [prices.account_shards]",
        ),
        ("[prices.shard_hour_dollars]", "[[prices]]", "Expected `object`, got `array`"),
        ("vcpus = 2", "vcpus = -2", "Expected `float` >= 1e-09"),
    ],
)
def test_a_bad_file_of_prices_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    file = tmp_path / "bad.toml"
    text = OWN.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(PricesError) as refused:
        read_prices(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert said in message
    assert "\n" not in message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(PricesError, match="not UTF-8"):
        read_prices(file)
