"""The call that `helm test` holds: over a real node it comes about; it fails where it should."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kcs_dev.stack import LocalStack


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[LocalStack]:
    async with LocalStack(tmp_path / "stack") as running:
        yield running


async def run(*argv: str) -> tuple[int | None, str]:
    """Exit status and output of a module."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *argv,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode()


@pytest.fixture
async def tokens(stack: LocalStack, tmp_path: Path) -> Path:
    """The file that the chart's init container writes."""
    out, key = tmp_path / "tokens.json", stack.directory / "signing-key.pem"
    status, said = await run("kcs_signaling.testers", "--key", str(key), "--out", str(out))
    assert status == 0, said
    assert out.stat().st_mode & 0o077 == 0
    return out


async def test_two_bots_hear_each_other_over_the_node(stack: LocalStack, tokens: Path) -> None:
    status, said = await run(
        "kcs_sfu.call_test", stack.url, "--tokens", str(tokens), "--patience", "0"
    )
    assert status == 0, said
    assert "50 packets of sound came each way" in said


async def test_without_a_node_it_fails_and_says_why(stack: LocalStack, tokens: Path) -> None:
    await stack.nodes[0].child.stop()
    argv = ("kcs_sfu.call_test", stack.url, "--tokens", str(tokens), "--patience", "0")
    status, said = await run(*argv)
    assert status == 1
    assert "room:join was refused: NO_CAPACITY" in said


async def test_forged_tokens_get_nobody_in(stack: LocalStack, tmp_path: Path) -> None:
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps({"test-ann": "x.y.z", "test-ben": "x.y.z"}))
    argv = ("kcs_sfu.call_test", stack.url, "--tokens", str(forged), "--patience", "0")
    status, said = await run(*argv)
    assert status == 1
    assert "401" in said
