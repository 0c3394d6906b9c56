"""`python -m kcs_signaling.testers`: access tokens of two people, for a test call.

`helm test` runs it beside the signing key, so that the test itself never sees the key. The tokens
are good for a few minutes.
"""

import argparse
import json
import os
from pathlib import Path

from kcs_contracts.ids import UserId
from kcs_signaling.keys import KeyUnusable, load_key
from kcs_signaling.settings import AuthSettings
from kcs_signaling.tokens import Tokens, User

TESTERS = ("test-ann", "test-ben")
"""Their user ids."""
_MINUTES = 5


def tokens(key_file: Path, issuer: str) -> dict[str, str]:
    """Access tokens by user id.

    Raises:
        KeyUnusable: the file holds no usable key.
    """
    signer = Tokens(load_key(key_file), issuer=issuer, access_minutes=_MINUTES, refresh_days=1)
    return {name: signer.access(User(user_id=UserId(name), user_name=name)) for name in TESTERS}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes access tokens of two people as JSON.")
    parser.add_argument("--key", type=Path, required=True, help="PEM file of KCS_AUTH__KEY_FILE")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    issuer = os.environ.get("KCS_AUTH__ISSUER") or AuthSettings.model_fields["issuer"].default
    parser.add_argument("--issuer", default=issuer, help="`iss`, as signaling has it")
    options = parser.parse_args()
    try:
        found = tokens(options.key, options.issuer)
    except KeyUnusable as error:
        parser.exit(1, f"{error}\n")
    options.out.touch(mode=0o600)
    options.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
