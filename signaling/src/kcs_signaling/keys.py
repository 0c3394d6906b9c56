"""The signing key on disk: `python -m kcs_signaling.keys FILE` makes one, the service reads it.

The service never makes a key by itself: two replicas would sign with different ones.
"""

import argparse
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


class KeyUnusable(Exception):
    """There is no usable key in the file; the text says what to do."""


def load_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 private key in a PEM file.

    Raises:
        KeyUnusable: the file is missing, unreadable, or holds something else.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyUnusable(
            f"KCS_AUTH__KEY_FILE {path} cannot be read ({error.strerror}); "
            f"make a key with: python -m kcs_signaling.keys {path}"
        ) from error
    except (ValueError, TypeError) as error:
        raise KeyUnusable(f"{path} holds no unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} holds another kind of key than Ed25519")
    return key


def create_key(path: Path) -> Ed25519PrivateKey:
    """Writes a new key to a file that is not there yet, readable by its owner alone.

    Raises:
        FileExistsError: the file is there: a key is never overwritten.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return key


def main() -> None:
    """The command line: one argument, the file to make."""
    parser = argparse.ArgumentParser(description="Makes the key that signs tokens and tickets.")
    parser.add_argument("file", type=Path)
    path: Path = parser.parse_args().file
    try:
        create_key(path)
    except OSError as error:
        parser.exit(1, f"{path}: {error.strerror}\n")


if __name__ == "__main__":
    main()
