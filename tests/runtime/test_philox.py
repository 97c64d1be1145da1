import ctypes

import mock_host
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegen.runtime.philox import POINTS, TOKENS, philox, words

# The known-answer vectors published with Random123: counter, key, block.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
U64 = st.integers(0, 2**64 - 1)


def numbers(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_known_answers(counter: str, key: str, block: str) -> None:
    low, high = numbers(key)
    assert philox([numbers(counter)], (low, high))[0].tolist() == numbers(block)


@given(U64, U64, st.integers(0, 2**32 - 1), st.sampled_from([TOKENS, POINTS]))
def test_c_gives_the_same_block(seed: int, flow: int, position: int, stream: int) -> None:
    class Block(ctypes.Structure):
        _fields_ = [("word", ctypes.c_uint32 * 4)]

    function = mock_host.load("small").edgegen_words
    function.restype = Block
    function.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int]
    expected = words(seed, np.array([flow], np.uint64), position, stream)[0].tolist()
    assert list(function(seed, flow, position, stream).word) == expected
