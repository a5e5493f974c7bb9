"""What else a typed number may stand for."""

import pytest

from functions.search_images.numbers import taken_in, with_other_zeros


@pytest.mark.parametrize(
    ("typed", "others"),
    [
        ("242", ["0242", "00242", "000242", "0000242", "00000242"]),
        ("00242", ["242", "0242", "000242", "0000242", "00000242"]),
        ("٢٤٢", ["0242", "00242", "000242", "0000242", "00000242"]),
        ("0", ["00", "000", "0000", "00000", "000000", "0000000", "00000000"]),
        ("20240512", []),
    ],
)
def test_a_number_has_other_zeros_before_it(typed: str, others: list[str]) -> None:
    found = [form for clause in with_other_zeros("name", typed) for form in clause["terms"]["name"]]
    assert sorted(found) == sorted(others)


@pytest.mark.parametrize("typed", ["img242", "IMG_00242", "img-242", "ＩＭＧ２４２"])
def test_a_number_behind_letters_has_other_zeros_too(typed: str) -> None:
    (in_text,) = with_other_zeros("name", typed)
    (in_address,) = with_other_zeros("url.file", typed)
    joined = set(in_address["terms"]["url.file"])
    assert "img0242" in joined
    assert set(in_text["terms"]["name.stem"]) == joined | {f"_{one}" for one in joined}


@pytest.mark.parametrize("typed", ["", "a", "24a", "1982-17", "3.5", "²", "202405120", "-1"])
def test_another_word_is_no_number(typed: str) -> None:
    assert with_other_zeros("name", typed) == []


@pytest.mark.parametrize("typed", ["2019", "٢٠١٩", "２０１９"])
def test_four_digits_are_a_year(typed: str) -> None:
    (clause,) = taken_in(typed)
    assert clause["range"]["taken_at"]["gte"] == "2019-01-01T00:00:00Z"
    assert clause["range"]["taken_at"]["lte"] == "2019-12-31T23:59:59.999Z"


@pytest.mark.parametrize("typed", ["201", "20190", "2019s", "two", "²⁰¹⁹"])
def test_another_word_is_no_year(typed: str) -> None:
    assert taken_in(typed) == []
