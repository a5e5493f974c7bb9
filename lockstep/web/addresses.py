"""The addresses that servers on this machine listen on."""

from ipaddress import AddressValueError, IPv4Address
from socket import create_connection, socket

from lockstep.console.errors import UserError

HOST = "127.0.0.1"
# For a connection to this machine itself.
CONNECT_SECONDS = 2.0


class UnusableAddressError(UserError):
    """Servers cannot listen on this address; the message says why and what to use instead."""


def check_address(host: str) -> None:
    """Check that servers can listen on this address and be reached there.

    Raises:
        UnusableAddressError: they cannot.
    """
    try:
        # 0.0.0.0 means all addresses, so no endpoint can name it.
        if IPv4Address(host).is_unspecified:
            raise _unusable(host, "it is not one address")
        # `bind` accepts broadcast and multicast addresses; connecting to one of them fails.
        with socket() as listener:
            listener.bind((host, 0))
            listener.listen()
            create_connection(listener.getsockname(), CONNECT_SECONDS).close()
    except AddressValueError:
        raise _unusable(host, "it is not an IPv4 address") from None
    except OSError as error:
        raise _unusable(host, error.strerror or str(error)) from None


def _unusable(host: str, reason: str) -> UnusableAddressError:
    return UnusableAddressError(
        f"cannot listen on {host}: {reason}; use an address of this machine: {HOST}, "
        "or 172.17.0.1 for containers on Linux while Docker runs"
    )
