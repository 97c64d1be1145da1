"""The executable refuses to run where its signature is missing or wrong and somebody asks for it."""

import random
import shutil
import subprocess
from pathlib import Path

import mock_host
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegen.trust import make_keys, signer


def flipped(text: bytes, at: int) -> bytes:
    return text[: at // 8] + bytes([text[at // 8] ^ 1 << at % 8]) + text[at // 8 + 1 :]


def sign_in(folder: Path) -> Path:
    """The folder, filled with an executable, its signature, the key pair and another one."""
    shutil.copy(mock_host.build("times", False, mock_host.MEMORY), folder / "edgegen")
    private, _ = make_keys(folder / "lab")
    (folder / "edgegen.sig").write_bytes(signer(private)((folder / "edgegen").read_bytes()))
    make_keys(folder / "other")
    return folder


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    return sign_in(tmp_path)


@pytest.fixture(scope="module")
def signed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sign_in(tmp_path_factory.mktemp("signed"))


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [folder / "edgegen", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=60)


VERBS = [
    ["generate", "-n", "3"],
    ["generate", "-n", "3", "-o", "x.pcap"],
    ["bench", "--seconds", "1"],
    ["verify"],
    ["info"],
]


def test_a_signed_executable_does_what_it_does_without_being_asked(signed: Path) -> None:
    for arguments in (["generate", "-n", "30"], ["verify"], ["info"]):
        plain = run(signed, *arguments)
        assert (plain.returncode, plain.stderr) == (0, "")
        for flags in (["--require-signature", "lab.pub"], ["--check-signature=lab.pub"]):
            asked = run(signed, *arguments, *flags)
            assert (asked.returncode, asked.stdout, asked.stderr) == (0, plain.stdout, "")
        for variable in ("EDGEGEN_REQUIRE_SIGNATURE", "EDGEGEN_CHECK_SIGNATURE"):
            asked = run(signed, *arguments, **{variable: "lab.pub"})
            assert (asked.returncode, asked.stdout, asked.stderr) == (0, plain.stdout, "")
    first = run(signed, "generate", "--require-signature", "lab.pub", "-n", "2", "--seed", "4")
    assert first.stdout == run(signed, "generate", "-n", "2", "--seed", "4").stdout


def refused(folder: Path, says: str, key: str = "lab.pub", status: int = 1) -> None:
    """By every verb, whether a flag or the environment asks, before anything is generated."""
    before = sorted(folder.iterdir())
    for arguments in VERBS:
        for done in (
            run(folder, *arguments, "--require-signature", key),
            run(folder, *arguments, EDGEGEN_REQUIRE_SIGNATURE=key),
        ):
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1), done.stderr
            assert done.stderr.startswith("edgegen: ")
            assert says in done.stderr
    assert sorted(folder.iterdir()) == before


def test_a_changed_executable_is_refused(signed: Path) -> None:
    file = signed / "edgegen"
    whole = file.read_bytes()
    says = f"{signed}/edgegen.sig is no signature of this executable with lab.pub"
    # Its golden flows, which nothing reads before the check; and what stands behind the end.
    golden = whole.index(bytes.fromhex(mock_host.golden_hash(mock_host.TIMES)))
    for changed in (flipped(whole, 8 * golden), whole + b"\0"):
        file.unlink()
        file.write_bytes(changed)
        file.chmod(0o755)
        refused(signed, says)


def test_a_flipped_bit_of_the_signature_is_refused(signed: Path) -> None:
    file = signed / "edgegen.sig"
    whole = file.read_bytes()
    for at in random.Random(1).sample(range(512), 24):
        file.write_bytes(flipped(whole, at))
        done = run(signed, "info", "--require-signature", "lab.pub")
        assert (done.returncode, done.stdout) == (1, "")
        assert "is no signature of this executable with lab.pub" in done.stderr


@pytest.mark.parametrize(("cut", "more"), [(0, b""), (63, b""), (64, b"\n"), (64, bytes(10_000))])
def test_a_signature_of_another_length_is_refused(signed: Path, cut: int, more: bytes) -> None:
    file = signed / "edgegen.sig"
    file.write_bytes(file.read_bytes()[:cut] + more)
    refused(signed, "edgegen.sig is no signature, as it does not have 64 bytes")


def test_a_missing_signature_is_refused_where_it_is_required(signed: Path) -> None:
    (signed / "edgegen.sig").unlink()
    refused(signed, f"is not signed, as there is no {signed}/edgegen.sig")
    done = run(signed, "generate", "-n", "3", "--check-signature", "lab.pub")
    assert (done.returncode, done.stdout) == (0, run(signed, "generate", "-n", "3").stdout)
    assert done.stderr == f"edgegen: warning: this executable is not signed, as there is no {signed}/edgegen.sig\n"
    (signed / "edgegen.sig").mkdir()
    refused(signed, "cannot read the signature")


def test_another_key_is_refused(signed: Path) -> None:
    refused(signed, "edgegen.sig is no signature of this executable with other.pub", "other.pub")
    done = run(signed, "verify", "--check-signature", "other.pub")
    assert (done.returncode, done.stdout) == (1, "")
    refused(signed, "lab.key holds a private key: give the public one", "lab.key")
    refused(signed, "cannot read the key nothing.pub: No such file", "nothing.pub")
    refused(signed, f"cannot read the key {signed}: Is a directory", str(signed))
    for text in (b"", b"no key", (signed / "lab.pub").read_bytes() * 100, bytes(5000)):
        (signed / "garbage").write_bytes(text)
        refused(signed, "garbage holds no Ed25519 public key in PEM", "garbage")


def test_a_link_is_followed_and_another_name_has_another_signature(signed: Path) -> None:
    (signed / "away").mkdir()
    (signed / "away" / "edgegen").symlink_to(signed / "edgegen")
    assert run(signed / "away", "info", "--require-signature", "../lab.pub").returncode == 0
    (signed / "edgegen").rename(signed / "away" / "other")
    (signed / "away" / "edgegen").unlink()
    (signed / "away" / "other").rename(signed / "away" / "edgegen")
    refused(signed / "away", f"there is no {signed}/away/edgegen.sig", "../lab.pub")


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["info", "--require-signature"], {}, "--require-signature needs a value"),
        (["info", "--require-signature", "lab.pub", "--check-signature", "lab.pub"], {}, "one key, not two"),
        (["info", "--check-signature", "lab.pub"], {"EDGEGEN_REQUIRE_SIGNATURE": "lab.pub"}, "one key, not two"),
        (["info"], {"EDGEGEN_REQUIRE_SIGNATURE": ""}, "EDGEGEN_REQUIRE_SIGNATURE names no file"),
        (["info"], {"EDGEGEN_CHECK_SIGNATURE": ""}, "EDGEGEN_CHECK_SIGNATURE names no file"),
        (["verify", "--require-signature", "lab.pub", "more"], {}, "verify takes no more"),
        (["generate", "-n", "x", "--require-signature", "lab.pub"], {}, "-n x is not a whole number"),
        (["generate", "-n", "3", "--label", "--require-signature", "lab.pub"], {}, "--label needs a value"),
    ],
)
def test_wrong_usage_is_one_sentence(
    signed: Path, arguments: list[str], environment: dict[str, str], says: str
) -> None:
    done = run(signed, *arguments, **environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr


FLAGS = [
    "--require-signature",
    "--check-signature",
    "--require-signature=",
    "--check-signature=lab.pub",
    "--label",
    "-n",
]
VALUES = ["lab.pub", "other.pub", "lab.key", "edgegen", "edgegen.sig", "", "3", "dns"]
WORDS = st.sampled_from([*FLAGS, *VALUES])


@settings(max_examples=100)
@given(st.sampled_from(["generate", "verify", "info", "--require-signature"]), st.lists(WORDS, max_size=6))
def test_no_arguments_break_it(signed_once: Path, verb: str, words: list[str]) -> None:
    done = run(signed_once, verb, *words)
    assert done.returncode in (0, 1, 2), done.stderr
    assert (done.returncode == 0) == (done.stderr == "")
    assert done.returncode == 0 or (done.stderr.startswith("edgegen: ") and done.stderr.count("\n") == 1)
