"""One Ethernet interface, and a raw socket that sends out of it and nowhere else. Nothing is received."""

import errno
import fcntl
import os
import socket
import struct
import sys
import time

from edgegen.errors import EdgegenError

# ioctls of Linux (linux/sockios.h) that fill in a struct ifreq: a name of 16 bytes, then what is asked for.
GET_FLAGS, GET_MTU, GET_HARDWARE = 0x8913, 0x8921, 0x8927
IFREQ = "16s24x"
UP, RUNNING = 0x1, 0x40
ETHERNET = 1  # ARPHRD_ETHER
SMALLEST_MTU = 68  # which IPv4 asks of every link
# A full queue is tried again this often, and for so long.
FULL_NAP, FULL_PATIENCE = 0.0001, 1.0


class Interface:
    """An interface that exists, is up, and is Ethernet; EdgegenError for any other, or without CAP_NET_RAW.

    mtu: bytes of the largest IP packet it carries
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.mtu = _checked(name)
        try:
            # Protocol 0: none of what arrives is for this socket.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            python = os.path.realpath(sys.executable)
            raise EdgegenError(
                "replay sends raw frames, which needs CAP_NET_RAW: run it as root, "
                f"or once `sudo setcap cap_net_raw+ep {python}`"
            ) from error
        try:
            self._socket.bind((name, 0))
        except OSError as error:
            self._socket.close()
            raise EdgegenError(f"{name} cannot be sent to ({error.strerror}): is it still there?") from error
        # A full queue is waited for in `send`, and not in the kernel for as long as it likes.
        self._socket.setblocking(False)

    def __enter__(self) -> "Interface":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        """Hand one frame to the interface, whole; OSError where it takes none."""
        end = None
        while True:
            try:
                self._socket.send(frame)
                return
            except OSError as error:
                end = end or time.monotonic() + FULL_PATIENCE
                if error.errno not in (errno.ENOBUFS, errno.EAGAIN) or time.monotonic() > end:
                    raise
            time.sleep(FULL_NAP)


def _checked(name: str) -> int:
    """The MTU of interface `name`; EdgegenError says why it cannot be used."""
    # Asked here and not of an ioctl, to which eth0:1 is eth0.
    known = [known for _, known in socket.if_nameindex()]
    if name not in known:
        raise EdgegenError(f"there is no interface {name!r} (there are: {', '.join(known)}): choose one of them")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:

        def ask(what: int, form: str) -> int:
            try:
                answer = fcntl.ioctl(asked, what, struct.pack(IFREQ, os.fsencode(name)))
            except OSError as error:
                raise EdgegenError(f"{name} cannot be asked what it is ({error.strerror}): choose another") from error
            number: int = struct.unpack_from(form, answer, 16)[0]
            return number

        if ask(GET_HARDWARE, "H") != ETHERNET:
            raise EdgegenError(f"{name} is no Ethernet interface: choose one that is")
        flags, mtu = ask(GET_FLAGS, "H"), ask(GET_MTU, "i")
    if not flags & UP:
        raise EdgegenError(f"{name} is down: bring it up with `ip link set {name} up`")
    if not flags & RUNNING:
        raise EdgegenError(f"{name} has no carrier: connect it, or bring its other end up")
    if mtu < SMALLEST_MTU:
        raise EdgegenError(f"{name} has an MTU of {mtu} bytes, where IPv4 needs {SMALLEST_MTU}: raise it")
    return mtu
