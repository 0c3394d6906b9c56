"""Log lines name nobody: people have pseudonyms, errors have no text, and operators can look up."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kcs_contracts.logs import nameless_traceback
from kcs_signaling.keys import create_key
from kcs_signaling.pseudonyms import Pseudonyms

SCRIPT = """
import logging, structlog, sys
from pathlib import Path
from kcs_signaling.keys import load_key
from kcs_signaling.main import configure_logs
from kcs_signaling.pseudonyms import Pseudonyms

configure_logs(Pseudonyms(load_key(Path(sys.argv[1]))))
log = structlog.get_logger()
log.info("joined", user_id="zed-7", display_name="Zed L", email="zed@x.org", meeting_id="m-1")
log.warning("many", user_ids=["zed-7", "bob-7"], user_id=None)
try:
    try:
        raise ValueError("Zed L is wrong")
    except ValueError as error:
        raise ExceptionGroup("zed-7", [KeyError("zed@x.org")]) from error
except ExceptionGroup:
    log.exception("failed")
    logging.getLogger("library").exception("library_failed")
"""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    create_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def run(*arguments: str, environment: dict[str, str] | None = None) -> Any:
    argv = [sys.executable, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)


def test_no_line_names_anybody_and_an_operator_who_knows_the_id_finds_theirs(
    key_file: Path,
) -> None:
    done = run("-c", SCRIPT, str(key_file))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for piece in ("zed", "Zed", "bob"):
        assert piece not in done.stdout
    joined, many, failed, library = lines
    named = run("-m", "kcs_signaling.pseudonyms", "zed-7", "--key-file", str(key_file))
    assert joined["user_id"] == named.stdout.strip()
    assert (joined["meeting_id"], "metadata" in joined) == ("m-1", False)
    one, other = many["metadata"]["user_ids"]
    assert one == joined["user_id"] != other
    assert many["user_id"] is None
    for line in (failed, library):
        for kind in ("ValueError", "ExceptionGroup", "KeyError"):
            assert f"builtins.{kind}" in line["exception"]
        assert 'File "<string>", line ' in line["exception"]


def test_every_replica_gives_a_person_the_same_pseudonym_and_every_installation_another() -> None:
    key = Ed25519PrivateKey.generate()
    one, same = Pseudonyms(key).of("ada"), Pseudonyms(key).of("ada")
    assert one == same
    assert one.startswith("u_")
    assert len(one) == 18
    assert Pseudonyms(key).of("adA") != one
    assert Pseudonyms(Ed25519PrivateKey.generate()).of("ada") != one


def test_the_command_reads_the_services_setting_and_says_what_is_missing(key_file: Path) -> None:
    argv = ("-m", "kcs_signaling.pseudonyms", "ada")
    known = run(*argv, environment={"KCS_AUTH__KEY_FILE": str(key_file)})
    assert known.stdout.startswith("u_")
    assert "KCS_AUTH__KEY_FILE" in run(*argv, environment={}).stderr
    missing = run(*argv, "--key-file", str(key_file / "none"))
    assert missing.returncode == 1
    assert "Traceback" not in missing.stderr


def test_an_endless_chain_of_errors_is_cut() -> None:
    error: Exception = ValueError("secret")
    for _ in range(100):
        before, error = error, ValueError("secret")
        error.__cause__ = before
    text = nameless_traceback((ValueError, error, None))
    assert text.count("ValueError") < 20
    assert "secret" not in text
