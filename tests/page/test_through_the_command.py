"""`lockstep page`: the page of a stack that takes signed requests, or tokens, only."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import urllib3
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette

from lockstep.page.proxy import PageError, SearchApi, signed, token_in
from lockstep.stack.clients import LOCAL_CREDENTIALS
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack, write_local
from tests.page.authorizer import Authorizer
from tests.page.browser import MISSING, Visit, chromium, texts
from tests.page.museum import Museum, query_side
from tests.serving import serving

in_a_browser = pytest.mark.skipif(chromium() is None, reason=MISSING)


def command(state: Path, api: str | None, *words: str) -> subprocess.Popen[str]:
    """`lockstep page` for a stack whose search API is there."""
    write_local(
        Stack(
            endpoints=Endpoints("", "", "", "", search=api),
            stream="s",
            table="t",
            index="i",
            bucket="b",
            region=LOCAL_REGION,
            functions={},
            state=str(state),
        ),
        state,
    )
    line = [sys.executable, "-m", "lockstep", "page", "--state", str(state), "--port", "0", *words]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def shown(state: Path, api: str, *words: str) -> Iterator[str]:
    """The page's address on this machine; Ctrl-C in the end, which is no failure."""
    process = command(state, api, *words)
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        (address,) = re.findall("http://127.0.0.1:[0-9]+", line) or [line]
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def refusal(state: Path, api: str | None, *words: str) -> str:
    """The one line that the command ends with."""
    process = command(state, api, *words)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    (line,) = err.splitlines()
    return line


@pytest.fixture(scope="module")
def authorizer(museum: Museum) -> Authorizer:
    return Authorizer(
        query_side(museum),
        takes="signatures",
        secret=LOCAL_CREDENTIALS,
        key_id=LOCAL_CREDENTIALS,
        region=LOCAL_REGION,
    )


@pytest.fixture(scope="module")
def api(authorizer: Authorizer) -> Iterator[str]:
    with serving(authorizer) as address:
        yield address


@pytest.fixture(scope="module")
def page(api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with shown(tmp_path_factory.mktemp("page"), api) as address:
        yield address


@in_a_browser
def test_a_plain_browser_finds_images_there_with_suggestions_and_records(
    page: str, api: str, browser: Browser
) -> None:
    assert urllib3.request("GET", api).status == 403
    visit = Visit(browser, page)
    shows = visit.open("/?q=richmnd+tames&tag=River+Thames")
    assert any("Richmond" in name for name in texts(shows, ".card h2 a"))
    box = shows.get_by_role("combobox")
    box.fill("")
    box.press_sequentially("st cather")
    expect(shows.get_by_role("option", name="St Catherine’s Chapel, Dorset")).to_be_visible()
    visit.open("/?image=D05526")
    expect(shows.locator("main h1")).to_contain_text("The Thames from Richmond Hill")
    assert visit.complaints == []
    visit.close()


@pytest.mark.parametrize(
    "target",
    [
        "/images?q=a%20b&q2=",
        "/images?q=c%2B%2B+%26%20%C3%A9t%c3%a9",
        "/images?size=1&q=%22&attr.artist=a%2Fb~c*d",
        "/images?",
        "/images/a%3ab%2Fc",
        "/images/a:b",
        "/nowhere/~x",
    ],
)
def test_whatever_is_asked_arrives_as_if_asked_there(
    page: str, museum: Museum, target: str
) -> None:
    with serving(query_side(museum)) as open_to_all:
        there = urllib3.request("GET", open_to_all + target)
    here = urllib3.request("GET", page + target)
    assert (here.status, here.data) == (there.status, there.data)
    assert dict(here.headers) | {"date": ""} == dict(there.headers) | {"date": ""}
    assert here.status != 403


def test_a_browser_s_own_headers_go_no_further(page: str, authorizer: Authorizer) -> None:
    urllib3.request("GET", page, headers={"Cookie": "a=1", "Origin": page, "Referer": page})
    assert not {*authorizer.headers[-1]} & {"cookie", "origin", "referer"}


def test_it_answers_to_local_names_only(page: str, authorizer: Authorizer) -> None:
    before = len(authorizer.asked)
    for name in ("evil.example", "127.0.0.1.evil.example", ""):
        assert urllib3.request("GET", page, headers={"Host": name}).status == 421
    assert len(authorizer.asked) == before
    port = page.rpartition(":")[2]
    assert urllib3.request("HEAD", page, headers={"Host": f"localhost:{port}"}).status == 200
    assert authorizer.asked[before:] == [("GET", "/")]


def test_nothing_but_reading_passes(page: str, authorizer: Authorizer) -> None:
    before = len(authorizer.asked)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = urllib3.request(method, page)
        assert (answer.status, answer.json()["message"].split()[0]) == (405, method)
    assert len(authorizer.asked) == before


def test_an_api_that_stops_answering_is_told_in_the_browser(
    authorizer: Authorizer, tmp_path: Path
) -> None:
    there = ExitStack()
    with shown(tmp_path, there.enter_context(serving(authorizer))) as address:
        assert urllib3.request("GET", f"{address}/health").status == 200
        there.close()
        answer = urllib3.request("GET", f"{address}/health")
    assert answer.status == 502
    assert answer.json()["message"].endswith(" failed: Connection refused")


def test_a_user_without_permission_gets_an_error_at_the_start(
    museum: Museum, tmp_path: Path
) -> None:
    another = Authorizer(query_side(museum), takes="signatures", secret="other", key_id="other")
    with serving(another) as api:
        assert "(Forbidden): your role needs execute-api:Invoke" in refusal(tmp_path, api)
        token = tmp_path / "token"
        token.write_text("a.b.c")
        with pytest.raises(PageError, match=r"\(Forbidden\): your token .* omit --token-file"):
            SearchApi(api, token_in(token), "token").check()


def test_a_file_without_a_valid_token_is_an_error(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with pytest.raises(PageError, match=r"cannot read the token: No such file or directory$"):
        token_in(token)("")
    for text in ("a.b.c\nd.e.f\n", "a.b\x00c", "a.b\x1bc", "café", ""):
        token.write_text(text)
        with pytest.raises(PageError, match="not a token: the file must contain one line"):
            token_in(token)("")


def test_another_api_is_an_error_at_the_start() -> None:
    with (
        serving(Starlette()) as another,
        pytest.raises(PageError, match=r"search API of Lockstep: /health returns 404$"),
    ):
        SearchApi(another, lambda _: {}).check()


def test_the_token_file_is_read_for_each_request(museum: Museum, tmp_path: Path) -> None:
    with serving(Authorizer(query_side(museum), takes="tokens", secret="a.b.c")) as api:
        token = tmp_path / "token"
        assert "--token-file" in refusal(tmp_path, api)
        assert str(token) in refusal(tmp_path, api, "--token-file", str(token))
        token.write_text("expired")
        assert "valid" in refusal(tmp_path, api, "--token-file", str(token))
        token.write_text("a.b.c\n")
        with shown(tmp_path, api, "--token-file", str(token)) as address:
            assert urllib3.request("GET", f"{address}/health").status == 200
            token.write_text("expired")
            assert urllib3.request("GET", f"{address}/health").status == 401
            token.unlink()
            answer = urllib3.request("GET", f"{address}/health")
            assert (answer.status, str(token) in answer.json()["message"]) == (502, True)


def test_without_credentials_no_request_is_sent() -> None:
    with pytest.raises(PageError, match="no AWS credentials"):
        signed(None, LOCAL_REGION)


def test_each_error_of_the_page_is_one_line(tmp_path: Path, api: str) -> None:
    assert "deploy it again" in refusal(tmp_path, None)
    refused = refusal(tmp_path, "http://127.0.0.1:9")
    assert refused == "Error: the request to http://127.0.0.1:9 failed: Connection refused"
    with shown(tmp_path, api) as address:
        port = address.rpartition(":")[2]
        assert "another --port" in refusal(tmp_path, api, "--port", port)
