"""Whose bundle it is: Ed25519 signatures, made in the workshop, checked before anything of a bundle is loaded.

    manifest.sig            of the bytes of manifest.json, which holds the sha256 of every other file
    <target>/edgegen.sig    of the executable, which gateways have without its bundle: export/device/trust.c

Keys are PEM files and a signature is its 64 bytes, so that openssl makes and checks them, too.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgegen.bundle import MANIFEST, SIGNATURE, Bundle
from edgegen.bundle_writer import write_bundle
from edgegen.errors import EdgegenError, UsageError

Signer = Callable[[bytes], bytes]

REQUIRE, CHECK = "EDGEGEN_REQUIRE_SIGNATURE", "EDGEGEN_CHECK_SIGNATURE"
_SIGNATURE_BYTES = 64
_MOST_PEM = 4096
_PRIME = 2**255 - 19
# y of a point of order 8; the other points of small order have 0, 1, -1 and its opposite.
_EIGHTH = 0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = {0, 1, _PRIME - 1, _EIGHTH, _PRIME - _EIGHTH}


@dataclass(frozen=True)
class Trust:
    """The key that a bundle must be signed with, and its file. Where not `required`, no signature is a warning."""

    path: Path
    key: bytes
    required: bool

    @classmethod
    def asked(cls, required: Path | None, checked: Path | None) -> "Trust | None":
        """What an operator asks for, naming at most one public key file: UsageError for two."""
        for variable in (REQUIRE, CHECK):
            if os.environ.get(variable) == "":
                raise UsageError(f"{variable} names no file: name one, or unset it")
        if required is not None and checked is not None:
            raise UsageError("a signature is either required or checked: give one key, not two")
        path = required or checked
        return None if path is None else cls(path, read_public_key(path), required is not None)

    def check(self, bundle: Path, manifest: bytes) -> None:
        """EdgegenError unless `manifest`, the bytes of the manifest of `bundle`, is signed with the key."""
        file = bundle / SIGNATURE
        try:
            signature = _read(file, _SIGNATURE_BYTES)
        except FileNotFoundError as error:
            if self.required:
                raise EdgegenError(
                    f"{bundle} is not signed, as there is no {file}: `edgegen sign` makes it; copy the bundle again"
                ) from error
            print(f"edgegen: warning: {bundle} is not signed, as there is no {file}", file=sys.stderr)
            return
        except OSError as error:
            raise EdgegenError(f"cannot read the signature {file}: {error.strerror}") from error
        if len(signature) != _SIGNATURE_BYTES:
            raise EdgegenError(f"{file} is no signature, as it does not have {_SIGNATURE_BYTES} bytes: copy it again")
        if not fits(self.key, signature, manifest):
            raise EdgegenError(
                f"{file} is no signature of its {MANIFEST} with {self.path}: do not use it, or give its signer's key"
            )


def read_public_key(path: Path) -> bytes:
    """The 32 bytes of the Ed25519 key in a PEM file; EdgegenError for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = _read_key(path)
    with suppress(ValueError, UnsupportedAlgorithm):
        key = load_pem_public_key(text)
        if isinstance(key, Ed25519PublicKey):
            return key.public_bytes_raw()
    if b"PRIVATE KEY-----" in text:
        raise EdgegenError(
            f"{path} holds a private key: give the public one, and keep this one where bundles are signed"
        )
    raise EdgegenError(f"{path} holds no Ed25519 public key in PEM: make one with `edgegen keygen`")


def signer(path: Path) -> Signer:
    """What signs with the private key in a PEM file; EdgegenError for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _read_key(path)
    with suppress(ValueError, UnsupportedAlgorithm):
        try:
            key = load_pem_private_key(text, None)
        except TypeError as error:
            raise EdgegenError(
                f"{path} is encrypted: sign with what `openssl pkey` makes of it, and delete that"
            ) from error
        if isinstance(key, Ed25519PrivateKey):
            return key.sign
    if b"PUBLIC KEY-----" in text:
        raise EdgegenError(f"{path} holds a public key: bundles are signed with the private one")
    raise EdgegenError(f"{path} holds no Ed25519 private key in PEM: make one with `edgegen keygen`")


def make_keys(name: Path) -> tuple[Path, Path]:
    """Write a new key pair: NAME.key, which only its owner may read, and NAME.pub. Neither may be there already."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private, public = Path(f"{name}.key"), Path(f"{name}.pub")
    made: list[Path] = []
    try:
        for path, mode, text in (
            (private, 0o600, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
            (public, 0o644, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        ):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                made.append(path)
                file.write(text)
    except BaseException as error:
        for half in made:
            half.unlink()
        if isinstance(error, OSError):
            raise EdgegenError(f"cannot write {path}: {error.strerror}; choose another name") from error
        raise
    return private, public


def sign(bundle: Bundle, with_key: Signer) -> Bundle:
    """Write the bundle anew with signatures, in place of older ones. EdgegenError leaves it as it was."""
    files = {name: bundle.path / name for name in bundle.files}
    return write_bundle(bundle.path, files, bundle.manifest, with_key)


def fits(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether it is a signature of the message by the key; the same ones as in export/device/ed25519.h."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    # For a key of small order anybody can sign. openssl takes one, and a y that is not below the prime.
    y = int.from_bytes(key, "little") % 2**255
    if y >= _PRIME or y in _SMALL_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _read_key(path: Path) -> bytes:
    try:
        return _read(path, _MOST_PEM)
    except OSError as error:
        raise EdgegenError(f"cannot read the key {path} ({error.strerror}): check its path and permissions") from error


def _read(path: Path, most: int) -> bytes:
    """The bytes of a file; where it is longer, one more than `most`."""
    with path.open("rb") as file:
        return file.read(most + 1)
