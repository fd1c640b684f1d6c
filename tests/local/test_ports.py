import socket

from extproc.local.ports import free_port, is_free


def test_no_port_is_given_twice_or_to_connections() -> None:
    """Linux takes those of connections from 32768 on, where nobody has told it otherwise."""
    ports = [free_port() for _ in range(200)]
    assert len({*ports}) == len(ports)
    assert all(1024 <= port < 32768 for port in ports)


def test_a_port_that_is_taken_is_not_free() -> None:
    port = free_port()
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
    with socket.create_server(("127.0.0.1", port), reuse_port=True):
        assert not is_free(port)
