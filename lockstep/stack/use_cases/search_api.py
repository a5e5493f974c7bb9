"""The search API of a stack, over HTTP."""

from pathlib import Path

from lockstep.page.proxy import PageError, SearchApi, signed, token_in
from lockstep.stack.clients import Clients


def search_api(clients: Clients, token_file: Path | None) -> SearchApi:
    """The stack's search over HTTP.

    Args:
        clients: the stack's.
        token_file: the file with the token, for a stack that takes tokens; otherwise requests are
            signed with AWS credentials.

    Raises:
        PageError: the stack has no search API, or there are no credentials to sign with.
    """
    address = clients.stack.endpoints.search
    if address is None:
        raise PageError("this stack has no search API: deploy it again from template.yaml")
    if token_file is not None:
        return SearchApi(address, token_in(token_file), "token")
    return SearchApi(address, signed(clients.session.get_credentials(), clients.stack.region))
