import errno
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import veth
from edgegen.errors import EdgegenError
from edgegen.replay.interface import Interface


@given(st.text(max_size=20))
@settings(max_examples=30)
def test_a_name_that_is_no_interface_is_refused(name: str) -> None:
    with pytest.raises(EdgegenError, match="there is no interface"):
        Interface(f"{name}:no")


def test_what_cannot_be_sent_to_is_refused(pair: veth.Veth) -> None:
    with veth.entered(pair.near):
        with pytest.raises(EdgegenError, match="lo is no Ethernet interface"):
            Interface("lo")
        # To the kernel that is an alias of the interface before the colon.
        with pytest.raises(EdgegenError, match="there is no interface"):
            Interface(f"{veth.DEVICE}:1")
        with Interface(veth.DEVICE) as sound:
            assert sound.mtu == 1_500
        try:
            pair.link("set", veth.DEVICE, "down", namespace=pair.far)
            pair.await_carrier(pair.near, there=False)
            with pytest.raises(EdgegenError, match="has no carrier"):
                Interface(veth.DEVICE)
            pair.link("set", veth.DEVICE, "down")
            with pytest.raises(EdgegenError, match=f"is down: bring it up with `ip link set {veth.DEVICE} up`"):
                Interface(veth.DEVICE)
        finally:
            pair.bring_up()


def test_a_missing_right_is_named_with_how_to_give_it(pair: veth.Veth) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is missing")
    edgegen = [sys.executable, "-P", "-m", "edgegen.cli", "replay", "nosuch.jsonl", "--interface", veth.DEVICE]
    command = pair.inside("setpriv", "--bounding-set", "-net_raw", *edgegen)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "CAP_NET_RAW: run it as root, or once `sudo setcap cap_net_raw+ep /" in done.stderr


class FullQueue:
    """A socket whose queue is full the first `times` times."""

    def __init__(self, times: float) -> None:
        self.times = times
        self.sent: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.times -= 1
        if self.times >= 0:
            raise OSError(errno.ENOBUFS, "no buffer space")
        self.sent.append(frame)


def test_a_full_queue_is_waited_for_and_not_for_ever(pair: veth.Veth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgegen.replay.interface.FULL_PATIENCE", 0.1)
    with veth.entered(pair.near), Interface(veth.DEVICE) as interface, monkeypatch.context() as patch:
        for_a_while, for_ever = FullQueue(3), FullQueue(float("inf"))
        patch.setattr(interface, "_socket", for_a_while)
        interface.send(b"frame")
        assert for_a_while.sent == [b"frame"]
        patch.setattr(interface, "_socket", for_ever)
        with pytest.raises(OSError, match="no buffer space"):
            interface.send(b"frame")
        assert for_ever.sent == []
