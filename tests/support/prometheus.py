"""A real Prometheus on loopback, and what a PromQL query names."""

import asyncio
import json
import math
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kcs_dev.processes import Child, answers, free_port

_CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(
    r'(?<![\w.:$])(?P<name>[a-zA-Z_:][\w:]*(?![\w:]))\s*(?P<labels>\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?(?!\s*\()'
)
_WORDS = {"and", "or", "unless", "bool", "offset", "group_left", "group_right"}


@dataclass(frozen=True)
class Selector:
    """`name{label="value"}` in a query."""

    name: str
    labels: tuple[tuple[str, str], ...]
    """Label and the whole matcher."""

    @property
    def text(self) -> str:
        return f"{self.name}{{{','.join(matcher for _, matcher in self.labels)}}}"


def selectors(query: str) -> list[Selector]:
    """All that a query selects."""
    bare = _RANGE.sub("", _CLAUSE.sub("", query))
    return [
        Selector(found["name"], tuple(_matchers(found["labels"] or "")))
        for found in _SELECTOR.finditer(bare)
        if found["name"] not in _WORDS
    ]


def _matchers(text: str) -> list[tuple[str, str]]:
    found = re.finditer(r'(\w+)\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"', text)
    return [(each[1], each[0]) for each in found]


@dataclass(frozen=True)
class Target:
    """Whom to scrape, and the labels that a cluster's scrape would add."""

    port: int
    labels: Mapping[str, str]


class Prometheus:
    """One process that scrapes and evaluates the rules each second."""

    def __init__(self, child: Child, url: str):
        self.child, self.url = child, url

    @classmethod
    async def start(
        cls, folder: Path, targets: Sequence[Target], rules: Sequence[Path]
    ) -> "Prometheus":
        """Returns when it answers."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": [str(path.resolve()) for path in rules],
            "scrape_configs": [
                {
                    "job_name": target.labels["job"],
                    "static_configs": [
                        {"targets": [f"127.0.0.1:{target.port}"], "labels": dict(target.labels)}
                    ],
                }
                for target in targets
            ],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        url = f"http://127.0.0.1:{(port := free_port())}"
        argv = ["prometheus", f"--config.file={folder / 'prometheus.yaml'}"]
        argv += [f"--storage.tsdb.path={folder / 'data'}"]
        argv += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        child = await Child.start("Prometheus", argv, env={}, log=folder / "prometheus.log")
        await child.ready(lambda: answers(f"{url}/-/ready"), timeout_s=30)
        return cls(child, url)

    def ask(self, path: str, **parameters: str | float) -> Any:
        """The data of an answer of its API; a query with an error fails."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        assert told["status"] == "success", told
        return told["data"]

    def now(self, query: str) -> list[dict[str, Any]]:
        """The instant vector of a query."""
        return list(self.ask("query", query=query)["result"])

    def values(self, query: str, start: float, end: float) -> list[float]:
        """All finite values of a query within that time, as a panel would show them."""
        told = self.ask("query_range", query=query, start=start, end=end, step=1)
        found = (float(value) for series in told["result"] for _, value in series["values"])
        return [value for value in found if math.isfinite(value)]

    async def until(self, query: str, timeout_s: float = 20) -> list[dict[str, Any]]:
        """Waits for a query to have a result."""
        deadline = time.monotonic() + timeout_s
        while not (found := await asyncio.to_thread(self.now, query)):
            assert time.monotonic() < deadline, f"no result: {query}"
            await asyncio.sleep(0.5)
        return found
