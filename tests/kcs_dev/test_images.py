"""The Containerfiles: what they copy is there, and nobody in them is root at the end."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "images").glob("*/Containerfile"))


def test_there_is_one_per_image_of_the_chart() -> None:
    names = {file.parent.name for file in FILES}
    assert names == {"signaling", "sfu-node", "operator", "coturn", "redis", "postgresql"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_a_containerfile_keeps_to_the_rules(file: Path) -> None:
    lines = file.read_text().replace("\\\n", " ").splitlines()
    steps = [line.split() for line in lines if line and not line.startswith("#")]
    for step, *arguments in steps:
        if step == "COPY" and not any(each.startswith("--from=") for each in arguments):
            for path in [each for each in arguments[:-1] if not each.startswith("--")]:
                assert (ROOT / path).exists(), path
        if step == "FROM":
            assert re.fullmatch(r"\$\{[A-Z]+_IMAGE\}", arguments[0]), "bases are arguments"
        if step == "ARG" and arguments[0].split("=")[0].endswith("_IMAGE"):
            base = arguments[0].split("=")[1]
            assert "/" not in base, "no registry's name"
            assert re.search(r":\d", base), "a version"
    assert [arguments for step, *arguments in steps if step == "USER"][-1] == ["65532:65532"]
    assert steps[-1][0] == "ENTRYPOINT"
