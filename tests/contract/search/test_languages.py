"""Another form of a word finds the image, in each of several languages, and no unrelated word."""

import uuid
from collections.abc import Iterator, Mapping

import pytest
from opensearchpy import OpenSearch

from functions.search_images.clauses import matching
from functions.search_images.language import parse_query
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.index import ensure_index
from tests.builders import change, image
from tests.contract.search.museum import Images

# In each language: a word that somebody types, and the name that has it in another form.
FORMS: Mapping[str, Mapping[str, str]] = {
    "German": {"Mueller": "Herr Müller", "Koehler": "Frau Köhler", "Häuser": "Alte Haeuser"},
    "French": {"cheval": "Les chevaux", "journaux": "Journal intime"},
    "Spanish": {"cruz": "Tres cruces", "perdida": "El perdido", "vieja": "Ancianas viejas"},
    "Italian": {"chiesa": "Chiese romaniche", "barche": "La barca", "montagna": "Montagne"},
    "Portuguese": {"coração": "Corações", "estações": "Estação", "jardim": "Jardins"},
    "Russian": {"зима": "Зимой", "девушки": "Портрет девушкой", "городах": "Город"},
    "Greek": {"γέφυρα": "Οι γέφυρες", "ανεμόμυλος": "Ανεμόμυλοι", "πόλεις": "Πόλη"},
    "Arabic": {"متحف": "المتحف الكبير", "المدينة": "مدينة", "معلم": "المعلمون"},
    "Hindi": {"लड़की": "लड़कियों का समूह"},
    "Turkish": {
        "köprüler": "Yıkık köprü",
        "sokakta": "Dar sokaklar",
        "teknelerin": "Kıyıda bir tekne",
        "Ankara'da": "Ankara'nın kışı",
        "Boğaz’ın": "Boğaz",
    },
    "Dutch": {"muur": "Oude muren", "straten": "Lange Straat", "tranen": "Een traan"},
    "English": {"breeze": "Breezes", "ladies": "The Lady"},
}
ALL = [(language, typed) for language, forms in FORMS.items() for typed in forms]
# A typed word, and a name with a word that has nearly the same letters.
UNRELATED = {
    "poets": "Two pots",
    "hens": "A hem",
    "planes": "A plan",
    "palais": "Palaces",
    # Their ends look like those of Turkish or Dutch words.
    "kitten": "First aid kit",
    "garden": "Garpike",
    "brook": "Broken column",
    "stool": "Stolen",
}


@pytest.fixture(scope="module")
def languages(opensearch_endpoint: str) -> Iterator[Images]:
    client = OpenSearch([opensearch_endpoint], timeout=120, max_retries=0)
    these = Images(client, f"images-{uuid.uuid4()}")
    ensure_index(client, these.alias)
    these.put(
        *(
            change(f"{language}-{at}", 1, image=image(name))
            for language, forms in {**FORMS, "unrelated": UNRELATED}.items()
            for at, name in enumerate(forms.values())
        )
    )
    yield these
    client.indices.delete(index=f"{these.alias}-000001")


def ids(images: Images, typed: str) -> list[str]:
    """The ids of the images that match without any correction of typing errors."""
    body = {"query": matching(parse_query(typed)), "_source": False}
    found = images.client.search(index=live_alias(images.alias), body=body)
    return [hit["_id"] for hit in found["hits"]["hits"]]


@pytest.mark.parametrize(("language", "typed"), ALL)
def test_another_form_of_a_word_is_found_and_marked(
    languages: Images, language: str, typed: str
) -> None:
    expected = [f"{language}-{list(FORMS[language]).index(typed)}"]
    assert ids(languages, typed) == expected
    (hit,) = languages.found(typed)
    assert [hit.image_id] == expected
    assert "<em>" in hit.name_html


@pytest.mark.parametrize("typed", UNRELATED)
def test_a_word_with_nearly_the_same_letters_is_another_word(languages: Images, typed: str) -> None:
    assert ids(languages, typed) == []
