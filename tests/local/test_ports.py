import socket

from extproc.local.ports import free_port, is_free


def test_no_port_is_given_twice_or_to_connections() -> None:
    ports = [free_port() for _ in range(200)]
    assert len({*ports}) == len(ports)
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        assert max(ports) < int(file.read().split()[0])


def test_a_port_that_is_taken_is_not_free() -> None:
    port = free_port()
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
    with socket.create_server(("127.0.0.1", port), reuse_port=True):
        assert not is_free(port)
