"""A network of the case's own, with more addresses than the machine's loopback network has."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

from process import check, until

CLONE_NEWNET = 0x4000_0000
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP, LOOPBACK = 0x8914, 0x8916, 1, 1


def usable(address):
    """Whether the kernel lets anyone have it: it takes its time."""
    with socket.socket(socket.AF_INET6) as end:
        try:
            end.bind((address, 0))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def apart(*addresses):
    """What is started meanwhile sees a loopback network alone, with these IPv6 addresses."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    check(libc.unshare(CLONE_NEWNET) == 0, f"no network of its own, which takes root: {os.strerror(ctypes.get_errno())}")
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as end:
            fcntl.ioctl(end, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
            for address in addresses:
                packed = socket.inet_pton(socket.AF_INET6, address)
                fcntl.ioctl(end, SIOCSIFADDR, struct.pack("16sIi", packed, 128, LOOPBACK))
        for address in addresses:
            until(lambda: usable(address), 5, f"address {address}")
        yield
    finally:
        libc.setns(before, CLONE_NEWNET)
        os.close(before)
