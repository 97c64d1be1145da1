import base64
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption as Encrypted
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegen.bundle import MANIFEST, SIGNATURE, Bundle, Golden, Manifest, Target
from edgegen.bundle_writer import write_bundle
from edgegen.codec import Codec, Label
from edgegen.errors import EdgegenError, UsageError
from edgegen.evaluate.card import add_to_card
from edgegen.trust import Trust, make_keys, read_public_key, sign, signer

TARGETS = {name: Target(f"{name}/edgegen", f"{name}/libmodel.so", (1,), ("any",)) for name in ("x86_64", "armv7")}
CODEC = Codec((Label("dns", 1.0),), max_packets=4, max_pl=100)
MADE = Manifest("llama", CODEC, Golden(1, 0, 8, {"native": "00" * 32}), TARGETS, {}, {})
FILES: dict[str, bytes | Path] = {
    name: name.encode() for target in TARGETS.values() for name in (target.executable, target.library)
} | {"card.md": b"# A card\n"}
SIGNATURES = [SIGNATURE, *(f"{target.executable}.sig" for target in TARGETS.values())]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_keys(tmp_path / "lab")


@pytest.fixture
def bundle(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """A signed bundle."""
    path = write_bundle(tmp_path / "a.edgegen", FILES, MADE).path
    return sign(Bundle.open(path), signer(keys[0])).path


def required(key: Path) -> Trust:
    trust = Trust.asked(key, None)
    assert trust is not None
    return trust


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_key_pair_is_not_for_everybody_and_is_never_overwritten(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    assert [path.name for path in keys] == ["lab.key", "lab.pub"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in keys] == [0o600, 0o644]
    before = tree(tmp_path)
    with pytest.raises(EdgegenError, match=r"cannot write .*lab.key: File exists"):
        make_keys(tmp_path / "lab")
    keys[0].rename(tmp_path / "kept")
    with pytest.raises(EdgegenError, match=r"cannot write .*lab.pub: File exists"):
        make_keys(tmp_path / "lab")
    assert tree(tmp_path) == {("kept" if name == "lab.key" else name): text for name, text in before.items()}


def test_a_signed_bundle_opens_with_its_key_and_without(bundle: Path, keys: tuple[Path, Path]) -> None:
    opened = Bundle.open(bundle, required(keys[1]))
    assert opened.signed
    assert opened.manifest == MADE
    assert sorted(tree(bundle)) == sorted([*FILES, MANIFEST, *SIGNATURES])
    assert {name: (bundle / name).read_bytes() for name in FILES} == FILES
    assert os.access(bundle / TARGETS["armv7"].executable, os.X_OK)
    assert Bundle.open(bundle).files == opened.files


def test_openssl_reads_the_keys_and_finds_the_signatures_good(bundle: Path, keys: tuple[Path, Path]) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is missing")
    subprocess.run(["openssl", "pkey", "-in", keys[0], "-noout"], check=True)
    for signature in SIGNATURES:
        signed = bundle / signature.replace(SIGNATURE, MANIFEST).removesuffix(".sig")
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", keys[1], "-rawin", "-in", signed]
        command += ["-sigfile", bundle / signature]
        assert b"Verified Successfully" in subprocess.run(command, capture_output=True, check=True).stdout
        signed.write_bytes(signed.read_bytes() + b"x")
        assert subprocess.run(command, capture_output=True).returncode == 1


def test_keys_of_openssl_sign(bundle: Path, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is missing")
    private, public = tmp_path / "o.key", tmp_path / "o.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    sign(Bundle.open(bundle), signer(private))
    Bundle.open(bundle, required(public))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([MANIFEST, *FILES, *SIGNATURES]), st.data())
def test_any_flipped_bit_of_a_signed_bundle_is_refused(
    bundle: Path, keys: tuple[Path, Path], name: str, data: st.DataObject
) -> None:
    file = bundle / name
    whole = file.read_bytes()
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    try:
        for trust in (required(keys[1]), Trust.asked(None, keys[1])):
            with pytest.raises(EdgegenError) as error:
                Bundle.open(bundle, trust)
            assert str(file) in str(error.value)
            assert "\n" not in str(error.value)
    finally:
        file.write_bytes(whole)


def test_a_manifest_made_anew_is_refused(bundle: Path, keys: tuple[Path, Path]) -> None:
    """Whoever changes a file and puts its hash into the manifest lacks the key."""
    signature = (bundle / SIGNATURE).read_bytes()
    write_bundle(bundle, FILES | {TARGETS["x86_64"].executable: b"another"}, MADE)
    (bundle / SIGNATURE).write_bytes(signature)
    Bundle.open(bundle)
    with pytest.raises(EdgegenError, match=r"manifest.sig is no signature of its manifest.json with .*lab.pub"):
        Bundle.open(bundle, required(keys[1]))


@pytest.mark.parametrize(("cut", "more"), [(0, b""), (63, b""), (64, b"\n")])
def test_a_signature_of_another_length_is_refused(bundle: Path, keys: tuple[Path, Path], cut: int, more: bytes) -> None:
    (bundle / SIGNATURE).write_bytes((bundle / SIGNATURE).read_bytes()[:cut] + more)
    with pytest.raises(EdgegenError, match="is no signature, as it does not have 64 bytes"):
        Bundle.open(bundle, required(keys[1]))


def test_no_signature_is_refused_or_a_warning(
    bundle: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(bundle, FILES, MADE)
    assert not Bundle.open(bundle).signed
    with pytest.raises(EdgegenError, match=r"is not signed, as there is no .*manifest.sig"):
        Bundle.open(bundle, required(keys[1]))
    assert capsys.readouterr() == ("", "")
    assert Bundle.open(bundle, Trust.asked(None, keys[1])).manifest == MADE
    assert (
        capsys.readouterr().err == f"edgegen: warning: {bundle} is not signed, as there is no {bundle}/manifest.sig\n"
    )
    (bundle / SIGNATURE).mkdir()
    for trust in (required(keys[1]), Trust.asked(None, keys[1])):
        with pytest.raises(EdgegenError, match=r"cannot read the signature .*: Is a directory"):
            Bundle.open(bundle, trust)


def test_another_key_is_refused_until_it_signs(bundle: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "other")
    for trust in (required(public), Trust.asked(None, public)):
        with pytest.raises(EdgegenError, match=r"manifest.sig is no signature .* with .*other.pub: do not use it"):
            Bundle.open(bundle, trust)
    sign(Bundle.open(bundle), signer(private))
    Bundle.open(bundle, required(public))
    with pytest.raises(EdgegenError, match="is no signature"):
        Bundle.open(bundle, required(keys[1]))


def test_what_is_damaged_or_cannot_be_written_is_not_signed(
    bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    before = tree(tmp_path)

    def fails(data: bytes) -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(EdgegenError, match="No space left"):
        sign(Bundle.open(bundle), fails)
    assert tree(tmp_path) == before
    (bundle / "card.md").write_text("another")
    with pytest.raises(EdgegenError, match=r"card.md has been changed"):
        sign(Bundle.open(bundle), signer(keys[0]))


def test_a_signed_card_stays_as_it_is(bundle: Path) -> None:
    before = tree(bundle)
    with pytest.raises(EdgegenError, match="is signed, and would not be with another card: evaluate before you sign"):
        add_to_card(Bundle.open(bundle), {})
    assert tree(bundle) == before


def test_a_bundle_whose_engine_has_no_hash_is_refused(tmp_path: Path) -> None:
    files = {name: content for name, content in FILES.items() if name != TARGETS["armv7"].library}
    with pytest.raises(EdgegenError, match=r"has no hash of armv7/libmodel.so"):
        write_bundle(tmp_path / "b.edgegen", files, MADE)
    assert os.listdir(tmp_path) == []


def test_one_key_at_a_time_and_no_empty_name(keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="one key, not two"):
        Trust.asked(keys[1], keys[1])
    assert Trust.asked(None, None) is None
    for variable in ("EDGEGEN_REQUIRE_SIGNATURE", "EDGEGEN_CHECK_SIGNATURE"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "")
            with pytest.raises(UsageError, match=f"{variable} names no file"):
                Trust.asked(None, None)


def test_other_keys_are_refused(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    file = tmp_path / "key"
    for key in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 1024), ed448.Ed448PrivateKey):
        other = key.generate() if isinstance(key, type) else key
        file.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(EdgegenError, match="holds no Ed25519 private key"):
            signer(file)
        file.write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        with pytest.raises(EdgegenError, match="holds no Ed25519 public key"):
            read_public_key(file)
    with pytest.raises(EdgegenError, match="holds a private key: give the public one"):
        read_public_key(keys[0])
    with pytest.raises(EdgegenError, match="holds a public key: bundles are signed with the private one"):
        signer(keys[1])
    for read in (signer, read_public_key):
        with pytest.raises(EdgegenError, match=r"cannot read the key .* \(No such file or directory\): check"):
            read(tmp_path / "nothing")
        with pytest.raises(EdgegenError, match=r"cannot read the key .* \(Is a directory\): check"):
            read(tmp_path)


def test_an_encrypted_key_is_refused(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(keys[0].read_bytes(), None)
    keys[0].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, Encrypted(b"secret")))
    with pytest.raises(EdgegenError, match="is encrypted"):
        signer(keys[0])


def pem(kind: str, der: bytes) -> bytes:
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (kind.encode(), base64.encodebytes(der), kind.encode())


KINDS = st.sampled_from(["PUBLIC KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "CERTIFICATE", "RSA PUBLIC KEY", ""])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.builds(pem, KINDS, st.binary(max_size=100))))
def test_garbage_is_no_key(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "garbage"
    file.write_bytes(text)
    for read in (signer, read_public_key):
        with pytest.raises(EdgegenError, match=r"holds|is encrypted") as error:
            read(file)
        assert "\n" not in str(error.value)
