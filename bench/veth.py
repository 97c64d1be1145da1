"""Two network namespaces joined by a veth pair, and what arrives at its far end, with the kernel's times."""

import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

DEVICE = "eth0"  # the name of either end
IPV4 = 0x0800
CLONE_NEWNET = 0x40000000
# Of Linux, where Python has no names for them.
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
SOL_PACKET, PACKET_STATISTICS = 263, 6
PATIENCE = 20.0  # seconds
BUFFER = 1 << 28  # bytes: all of a replay may wait here until it is read


@dataclass(frozen=True)
class Veth:
    """near, far: the names of the two namespaces; DEVICE in each is up."""

    near: str
    far: str

    def inside(self, *command: str) -> list[str]:
        """A command line that runs `command` in the near namespace."""
        return ["ip", "netns", "exec", self.near, *command]

    def link(self, *arguments: str, namespace: str = "") -> None:
        """`ip link` in the near namespace, or another."""
        _ip("-n", namespace or self.near, "link", *arguments)

    def bring_up(self) -> None:
        """Both ends, and wait until each has noticed that the other is up."""
        for name in (self.near, self.far):
            self.link("set", DEVICE, "up", namespace=name)
        for name in (self.near, self.far):
            self.await_carrier(name)

    def await_carrier(self, namespace: str, there: bool = True) -> None:
        """Wait until the device in a namespace has noticed that its peer is up, or down."""
        deadline = time.monotonic() + PATIENCE
        while (_ip("-n", namespace, "-br", "link", "show", DEVICE).split()[1] == "UP") != there:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{DEVICE} in {namespace} has not noticed its peer after {PATIENCE:g} seconds")
            time.sleep(0.01)


class Receiver:
    """Every IPv4 frame that arrives at the far end."""

    def __init__(self, veth: Veth) -> None:
        with entered(veth.far):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind((DEVICE, IPV4))

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def arrived(self) -> list[tuple[int, bytes]]:
        """The frames that are there: nanoseconds since 1970, bytes. OSError where some did not fit."""
        frames = []
        while True:
            try:
                frame, messages, *_ = self.socket.recvmsg(1 << 17, 64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            ((_, _, stamp),) = messages
            seconds, nanoseconds = struct.unpack("qq", stamp)
            frames.append((seconds * 10**9 + nanoseconds, frame))
        _, dropped = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        if dropped:
            raise OSError(f"{dropped} frames did not fit into the receiver's buffer")
        return frames


@contextmanager
def joined(mtu: int = 1_500) -> Iterator[Veth]:
    """A veth pair while the body runs. CalledProcessError where this process may not make one."""
    veth = Veth(f"edgegen-near-{os.getpid()}", f"edgegen-far-{os.getpid()}")
    made = []
    try:
        for name in (veth.near, veth.far):
            _ip("netns", "add", name)
            made.append(name)
        veth.link("add", DEVICE, "mtu", str(mtu), "type", "veth", "peer", "name", DEVICE, "netns", veth.far)
        veth.link("set", DEVICE, "mtu", str(mtu), namespace=veth.far)
        veth.bring_up()
        yield veth
    finally:
        for name in made:
            _ip("netns", "delete", name)


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """This thread is in a namespace while the body runs; sockets that it opens stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{namespace}") as there:
        _set_namespace(libc, there.fileno())
        try:
            yield
        finally:
            _set_namespace(libc, before.fileno())


def _set_namespace(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
