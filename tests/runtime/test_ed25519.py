"""The arithmetic and the key files of the executable's check of signatures, beside a library's."""

import random
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import curve
import mock_host
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegen.export.device.sources import FLAGS, FOLDER, SIGNATURE
from edgegen.export.link import SMALL
from edgegen.export.targets import TARGETS
from edgegen.trust import fits, read_public_key

Case = tuple[bytes, bytes, bytes]  # key, signature, message

# RFC 8032, 7.1: the secret key, the public one, the message, the signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


SOURCES = [Path(__file__).with_name("check_signatures.c"), *(FOLDER / name for name in SIGNATURE if name != "trust.c")]


def build(folder: Path, *flags: str) -> Path:
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing")
    out = folder / "check_signatures"
    subprocess.run(["gcc", *FLAGS, *flags, *map(str, SOURCES), "-o", str(out)], check=True)
    return out


def answers(program: Path, records: list[bytes], *emulator: str) -> bytes:
    done = subprocess.run([*emulator, program], input=b"".join(records), capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With sanitizers."""
    flags = ("-g", f"-fsanitize={mock_host.MEMORY}", "-fno-sanitize-recover")
    return build(tmp_path_factory.mktemp("watched"), *flags)


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("fast"))


def record(case: Case) -> bytes:
    key, signature, message = case
    return b"S" + key + signature + len(message).to_bytes(4, "little") + message


def flipped(text: bytes, at: int) -> bytes:
    at %= 8 * len(text)
    return text[: at // 8] + bytes([text[at // 8] ^ 1 << at % 8]) + text[at // 8 + 1 :]


def mutated(case: Case, choice: random.Random) -> Case:
    """A case that nobody signed, unless by chance."""
    key, signature, message = case
    s = int.from_bytes(signature[32:], "little")
    at = choice.randrange(2**16)
    return choice.choice(
        [
            (flipped(key, at), signature, message),
            (key, flipped(signature, at), message),
            (key, signature, flipped(message or b"x", at)),
            (key, signature, message + bytes(1 + at % 130)),
            (key, signature[:32] + ((s + curve.ORDER) % 2**256).to_bytes(32, "little"), message),
            (key, signature[:32] + ((curve.ORDER - s) % curve.ORDER).to_bytes(32, "little"), message),
            (key, flipped(signature[:32], 255) + signature[32:], message),
            (choice.randbytes(32), signature, message),
            (key, choice.randbytes(64), message),
        ]
    )


def cases(seed: int, count: int) -> list[Case]:
    choice = random.Random(seed)
    made = []
    for _ in range(count // 2):
        private = Ed25519PrivateKey.from_private_bytes(choice.randbytes(32))
        message = choice.randbytes(choice.choice([0, 1, 47, 48, 63, 64, 111, 112, choice.randrange(700)]))
        good = (private.public_key().public_bytes_raw(), private.sign(message), message)
        made += [good, mutated(good, choice)]
    return made


def test_the_vectors_of_the_standard(watched: Path) -> None:
    records = []
    for secret, key, message, signature in (tuple(map(bytes.fromhex, vector)) for vector in VECTORS):
        private = Ed25519PrivateKey.from_private_bytes(secret)
        assert (private.public_key().public_bytes_raw(), private.sign(message)) == (key, signature)
        records += [record((key, signature, message)), record((key, signature, message + b"x"))]
    assert answers(watched, records) == b"10" * len(VECTORS)


@pytest.mark.parametrize(("kind", "count"), [("watched", 600), ("fast", 3000)])
def test_what_fits_is_what_the_library_says_fits(request: pytest.FixtureRequest, kind: str, count: int) -> None:
    made = cases(count, count)
    expected = "".join(str(int(fits(*case))) for case in made)
    assert count / 2 <= expected.count("1") < count / 2 + 5
    assert answers(request.getfixturevalue(kind), list(map(record, made))).decode() == expected


@pytest.mark.timeout(900)  # the first link for a target builds its C library
@pytest.mark.parametrize(
    ("name", "emulator", "cpu"),
    [("aarch64", "qemu-aarch64-static", "cortex-a53"), ("armv7", "qemu-arm-static", "cortex-a7")],
)
def test_the_same_on_arm(tmp_path: Path, name: str, emulator: str, cpu: str) -> None:
    if shutil.which(emulator) is None:
        pytest.skip(f"{emulator} is missing (Debian package qemu-user-static)")
    target = TARGETS[name]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target.executable, "-static", "-s", *FLAGS, *SMALL]
    command += [f"-mcpu={target.host_cpu}", *map(str, SOURCES), "-o", "check"]
    subprocess.run(command, check=True, cwd=tmp_path)
    made = cases(7, 300)
    expected = "".join(str(int(fits(*case))) for case in made)
    assert answers(tmp_path / "check", list(map(record, made)), emulator, "-cpu", cpu).decode() == expected


def test_no_point_has_two_encodings_and_no_weak_key_signs(watched: Path) -> None:
    """Signatures that a check would take which reduces y, forgets the sign of 0, or multiplies by 8."""
    keys = [curve.encode(point) for point in curve.SMALL]
    # y and y + p where both fit in 255 bits, with either sign.
    keys += [(y + sign * 2**255).to_bytes(32, "little") for y in range(curve.P, 2**255) for sign in (0, 1)]
    keys += [(y + 2**255).to_bytes(32, "little") for y in (1, curve.P - 1)]
    messages = [bytes([i]) for i in range(8)]
    signatures = [point + bytes(32) for point in keys]
    made: list[Case] = [(key, signature, messages[0]) for key, signature in product(keys, signatures)]
    made += [(key, curve.encode((0, 1)) + bytes(32), message) for key, message in product(keys, messages)]
    assert any(library(*case) for case in made), "openssl itself takes weak keys"
    assert answers(watched, list(map(record, made))) == b"0" * len(made)
    assert not any(fits(*case) for case in made)


def test_every_bit_of_the_first_half_counts(watched: Path) -> None:
    """The hash is of the half as it stands, so that the point behind it differs from the right one in a bit only."""
    secret, nonce = 12345, 67890
    key, r = curve.encode(curve.times(secret, curve.BASE)), curve.encode(curve.times(nonce, curve.BASE))
    made: list[Case] = []
    for half in (r, *(flipped(r, at) for at in range(256))):
        s = (nonce + curve.challenge(half, key, b"x") * secret) % curve.ORDER
        made.append((key, half + s.to_bytes(32, "little"), b"x"))
    assert answers(watched, list(map(record, made))) == b"1" + b"0" * 256


def library(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_a_key_with_a_part_of_small_order_fits_where_the_library_says_so(watched: Path) -> None:
    """Here it shows that the hash is taken modulo the order, and that nothing is multiplied by 8."""
    made: list[Case] = []
    for i, torsion in enumerate(curve.SMALL[1:]):
        secret = 1234567 + i
        key = curve.encode(curve.add(curve.times(secret, curve.BASE), torsion))
        made += [(key, curve.sign(secret, key, 99 + j, bytes([j])), bytes([j])) for j in range(12)]
    expected = "".join(str(int(library(*case))) for case in made)
    assert 0 < expected.count("1") < len(made) / 2
    assert answers(watched, list(map(record, made))).decode() == expected


PEM = Ed25519PublicKey.from_public_bytes(bytes(range(32))).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_record(text: bytes) -> bytes:
    return b"K" + len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    "text", [PEM, PEM.rstrip(), PEM + b"\n\n", PEM.replace(b"\n", b"\r\n"), PEM.replace(b"\n", b"\r\n", 1)]
)
def test_a_key_file_may_end_its_lines_as_it_likes(watched: Path, text: bytes) -> None:
    assert answers(watched, [key_record(text)]) == b"1" + bytes(range(32))


@pytest.mark.parametrize(
    "text",
    [
        *(PEM + more for more in (b"x", b"\nx\n", b" ", b"\0", PEM)),
        *(more + PEM for more in (b"x", b"\n", b" ")),
        *(PEM[:-cut] for cut in (2, 26, 28, 30, 60, 113)),
        PEM.replace(b"=", b""),
        PEM.replace(b"Hh8=", b"Hh9="),  # a bit of the last letter that stands for nothing
        PEM.replace(b"MCow", b"MCox"),
        PEM.replace(b"K2Vw", b"K2Vu"),  # X25519
        PEM.replace(b"AyEA", b"AyEB"),
        PEM.replace(b"PUBLIC", b"PRIVATE"),
        PEM.replace(b"-----\n", b"----- \n", 1),
        PEM.replace(b"\n", b"\r"),
        PEM.replace(b"MC", b"M\nC"),
    ],
)
def test_a_key_file_holds_one_key_and_nothing_else(watched: Path, text: bytes) -> None:
    assert text != PEM
    assert answers(watched, [key_record(text)]) == b"0"


def edits() -> st.SearchStrategy[bytes]:
    """Key files with pieces cut out, put in and repeated."""

    def edit(text: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
        for at, length, new in changes:
            place = at % (len(text) + 1)
            text = text[:place] + new + text[place + length :]
        return text

    pieces = st.one_of(st.binary(max_size=3), st.sampled_from([b"\n", b"=", b"\r\n", b" ", b"A", b"-----", PEM]))
    changes = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), pieces), max_size=2)
    return st.builds(edit, st.just(PEM), changes)


@settings(max_examples=60)
@given(st.lists(st.one_of(edits(), st.binary(max_size=130)), min_size=1, max_size=60))
def test_what_is_taken_for_a_key_file_is_one_for_the_library_too(
    watched: Path, tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]
) -> None:
    found = answers(watched, list(map(key_record, texts)))
    file = tmp_path_factory.getbasetemp() / "fuzzed.pub"
    for text in texts:
        taken, found = found[:1], found[1:]
        if taken == b"1":
            file.write_bytes(text)
            assert found[:32] == read_public_key(file)
            found = found[32:]
    assert found == b""
