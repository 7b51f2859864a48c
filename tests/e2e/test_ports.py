import socket

import pytest

from harness.fleet.ports import HOST, Ports

pytestmark = pytest.mark.e2e


def listening(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((HOST, port))
    server.listen()
    return server


def test_ports_are_distinct() -> None:
    with Ports() as ports:
        assert len({ports.reserve() for _ in range(50)}) == 50


def test_a_server_may_listen_on_a_port_that_is_held_for_it() -> None:
    with Ports() as ports, listening(ports.reserve()) as server:
        socket.create_connection(server.getsockname()).close()


def test_nobody_else_gets_a_port_that_is_held() -> None:
    with Ports() as ports, socket.socket() as stranger:
        port = ports.reserve()
        with pytest.raises(OSError, match="Address already in use"):
            stranger.bind((HOST, port))


def test_a_port_that_is_held_answers_nobody() -> None:
    with Ports() as ports:
        port = ports.reserve()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port))


def test_ports_are_free_again_afterwards() -> None:
    with Ports() as ports:
        port = ports.reserve()
    with socket.socket() as stranger:
        stranger.bind((HOST, port))
