"""Points of Ed25519's curve, in integers: what it takes to make the keys and signatures that no honest signer makes."""

import hashlib

Point = tuple[int, int]

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a: Point, b: Point) -> Point:
    t = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P) % P


def times(n: int, point: Point) -> Point:
    result = (0, 1)
    for bit in f"{n:b}":
        result = add(result, result)
        result = add(result, point) if bit == "1" else result
    return result


def find_x(y: int, odd: int = 0) -> int | None:
    """The x of that parity beside a y; None where there is no such point."""
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x if x * x % P == xx else x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != xx:
        return None
    return x if x % 2 == odd else -x % P


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


_Y = 4 * pow(5, -1, P) % P
BASE: Point = (find_x(_Y) or 0, _Y)
# Of order 8: what is left of a point when all of the prime order is taken from it.
EIGHTH = times(ORDER, (find_x(3) or 0, 3))
SMALL = [times(i, EIGHTH) for i in range(8)]


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % ORDER


def sign(secret: int, key: bytes, nonce: int, message: bytes) -> bytes:
    """A signature by a secret number, with whatever key beside it."""
    r = encode(times(nonce, BASE))
    return r + ((nonce + challenge(r, key, message) * secret) % ORDER).to_bytes(32, "little")
