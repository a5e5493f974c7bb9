"""Ports of the local stack: free ones, the same as last time, and none that connections get."""

import socket

from lockstep.local.ports import PORTS, free_ports
from lockstep.web.addresses import HOST


def test_each_name_gets_a_port_of_its_own_that_no_outgoing_connection_gets() -> None:
    ports = free_ports([f"server-{number}" for number in range(50)], {})
    assert len({*ports.values()}) == 50
    assert {*ports.values()} <= {*PORTS}
    with socket.create_server((HOST, 0)) as somewhere:
        assert somewhere.getsockname()[1] not in PORTS, "what the system gives by itself"


def test_a_port_is_the_one_of_last_time_unless_somebody_has_it() -> None:
    before = free_ports(["a", "b"], {})
    assert free_ports(["b", "a"], before) == before
    with socket.create_server((HOST, before["a"])):
        after = free_ports(["a", "b"], before)
    assert after["b"] == before["b"]
    assert after["a"] not in {before["a"], before["b"]}


def test_a_port_of_last_time_is_given_to_one_name_only() -> None:
    (port,) = free_ports(["a"], {}).values()
    both = free_ports(["a", "b"], {"a": port, "b": port})
    assert port in both.values()
    assert len({*both.values()}) == 2
