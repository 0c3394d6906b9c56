"""People in log lines: under a pseudonym instead of their id, and never by name or address.

A pseudonym is an HMAC of the user id under a key derived from the installation's signing key: all
replicas give a person the same one, and nobody without the key can tell whose it is. An operator
who looks for somebody's lines computes theirs:

    python -m kcs_signaling.pseudonyms USER_ID

So after an erasure no line names the person. A new signing key gives everybody new pseudonyms.
"""

import argparse
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic_settings import BaseSettings, SettingsConfigDict
from structlog.typing import WrappedLogger

from kcs_contracts.logs import pseudonym
from kcs_signaling.keys import KeyUnusable, load_key

_INFO = b"kcs-meetings pseudonyms in logs"
_IDS = frozenset(
    {"user_id", "user_ids", "for_user_id", "participant_id", "host_id", "actor", "subject"}
)
_WORDS = frozenset({"user_name", "display_name", "email", "text", "message"})


class Pseudonyms:
    """Pseudonyms of one installation, and structlog's processor that puts them in."""

    def __init__(self, key: Ed25519PrivateKey):
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO)
        self.key = derivation.derive(key.private_bytes_raw())
        """For the nodes, which name people in the same way."""

    def of(self, user_id: str) -> str:
        """A person's pseudonym."""
        return pseudonym(self.key, user_id)

    def __call__(
        self, _logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Replaces ids of people, and takes away what else tells of them."""
        self._hide(event)
        if "metadata" in event:
            event["metadata"] = self._hide(dict(event["metadata"]))
        return event

    def _hide(self, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name in _WORDS & fields.keys():
            del fields[name]
        for name in _IDS & fields.keys():
            fields[name] = self._hidden(fields[name])
        return fields

    def _hidden(self, value: object) -> object:
        if value is None:
            return None
        if isinstance(value, list | tuple | set | frozenset):
            return [self._hidden(each) for each in value]
        return self.of(str(value))


class _AuthEnvironment(BaseSettings):
    """The part of the service's settings that the command line needs."""

    model_config = SettingsConfigDict(env_prefix="KCS_AUTH__", frozen=True, extra="ignore")

    key_file: Path


def main() -> None:
    """The command line: reads `KCS_AUTH__KEY_FILE`, as the service does, or `--key-file`."""
    parser = argparse.ArgumentParser(description="Says under which pseudonym logs name somebody.")
    parser.add_argument("user_id")
    parser.add_argument("--key-file", type=Path, help="left out: KCS_AUTH__KEY_FILE")
    options = parser.parse_args()
    try:
        path = options.key_file or _AuthEnvironment().key_file
        print(Pseudonyms(load_key(path)).of(options.user_id))
    except KeyUnusable as error:
        sys.exit(str(error))
    except ValueError:
        sys.exit("name the signing key: --key-file FILE, or KCS_AUTH__KEY_FILE")


if __name__ == "__main__":
    main()
