"""A network of a pod's own: nothing but loopback, every port free, and no way out."""

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import tests.grpc_at_home  # noqa: F401

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Network:
    """A network namespace. What a thread opens or starts while it has `entered` is inside: sockets, threads, processes."""

    def __init__(self) -> None:
        self._namespace = -1
        maker = threading.Thread(target=self._make)
        maker.start()
        maker.join()
        if self._namespace < 0:
            raise OSError("there is no network namespace: run the tests as root")

    def _make(self) -> None:
        """In a thread that ends: the namespace lives on by its descriptor."""
        _check(_libc.unshare(_CLONE_NEWNET))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            name = struct.pack("16sh14x", b"lo", 0)
            flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, name))[1]
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
        self._namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread, not the others."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(self._namespace, _CLONE_NEWNET))
            yield
        finally:
            _check(_libc.setns(home, _CLONE_NEWNET))
            os.close(home)

    def close(self) -> None:
        os.close(self._namespace)
