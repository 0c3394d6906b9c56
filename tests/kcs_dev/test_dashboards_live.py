"""A real Prometheus reads a running system with a call in it: every panel and every rule has data.

What does not run here (`ABSENT`) is checked by its own names and labels in test_dashboards_absent.
"""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest
from tests.kcs_dev.test_dashboards import Panel, panels
from tests.support.prometheus import Prometheus, Selector, Target, selectors
from tests.support.traced_call import TracedCall, call_settings

from kcs_dev.api import new_meeting
from kcs_dev.crowd import Crowd
from kcs_dev.observability.rules.files import ALERTS, RECORDINGS, rule_files
from kcs_dev.observability.rules.model import Alert, Recording
from kcs_dev.observability.scrape import OPERATOR, SFU, SIGNALING, TURN
from kcs_dev.stack import ROOT, LocalStack

ABSENT = ("kcs_operator_", "kcs_turn_", "kubelet_volume_stats_", "ALERTS")
"""Metrics of parts that do not run here; `ALERTS` has no series while nothing is wrong."""
_JOBS = {OPERATOR, TURN}
_BAD = {"rtt": 400, "jitter": 80, "packetLoss": 9, "bitrate": 64_000}


RUNBOOKS = ROOT / "docs" / "runbooks"


@dataclass(frozen=True)
class Seen:
    """Prometheus after the call; it goes on running."""

    prometheus: Prometheus
    began: float
    ended: float
    crash: list[dict[str, dict[str, str]]]
    """What fired after a worker was killed, behind `ended`."""

    def has_data(self, query: str) -> bool:
        return bool(self.prometheus.values(query, self.began, self.ended))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with asyncio.Runner() as runner:
        found = runner.run(_watch(tmp_path_factory.mktemp("watched")))
        yield found
        runner.run(_stop(found.prometheus))


async def _watch(folder: Path) -> Seen:
    stack = LocalStack(folder / "stack", env=call_settings())
    async with stack, aiohttp.ClientSession() as http:
        targets = [
            Target(stack.signaling[0].port, _labels(SIGNALING, "signaling-0")),
            Target(stack.nodes[0].port, {**_labels(SFU, "node-1"), "pool": "main"}),
        ]
        rules = [ROOT / path for path in rule_files() if path.endswith(".yaml")]
        began = time.time()
        prometheus = await Prometheus.start(folder / "prometheus", targets, rules)
        try:
            await prometheus.until(f"sum(up) == {len(targets)}")  # what came before it is not seen
            async with _bots(stack):
                await TracedCall(stack, http, folder).run()
            ended = time.time()
            _kill_a_worker(stack.nodes[0].child.pid)
            crash = 'ALERTS{alertname="KcsSfuWorkerCrashed",alertstate="firing"}'
            fired = await prometheus.until(crash)
        except BaseException:
            await _stop(prometheus)
            raise
        return Seen(prometheus, began, ended, fired)


async def _stop(prometheus: Prometheus) -> None:
    await prometheus.child.stop()


def _labels(job: str, pod: str) -> dict[str, str]:
    return {"job": job, "namespace": "meet", "pod": pod}


@asynccontextmanager
async def _bots(stack: LocalStack) -> AsyncIterator[None]:
    """Four people in a meeting beside the call; their connections are bad."""
    crowd = Crowd(stack)
    await crowd.begin(stack.url)
    meeting = await new_meeting(stack.url)
    sockets = [await crowd.connect(stack.url, f"bot-{n}") for n in range(4)]
    for socket in sockets:
        await socket.request("room:join", {"meeting_id": meeting})
    bad = {"meeting_id": meeting, "stats": _BAD}
    for socket in sockets:
        await socket.request("stats:report", bad)
    yield
    for socket in sockets:
        await socket.request("stats:report", bad)  # the second one brings a warning
    await asyncio.sleep(4)  # some scrapes of what ended
    for socket in sockets:
        socket.close()


def _kill_a_worker(node: int) -> None:
    children = psutil.Process(node).children(recursive=True)
    (worker,) = [each for each in children if "mediasoup-worker" in each.name()][:1]
    os.kill(worker.pid, signal.SIGKILL)


def absent(query: str, how: Callable[[Iterable[bool]], bool] = any) -> bool:
    """Whether a query needs a part that does not run here; `all`: whether it has nothing else."""
    return how(_absent(each) for each in selectors(query))


def _absent(selector: Selector) -> bool:
    derived = [r.expr for r in RECORDINGS if r.name == selector.name]
    if derived:
        return all(absent(expr) for expr in derived)
    of_jobs = any(label == "job" and _only_absent(matcher) for label, matcher in selector.labels)
    return selector.name.startswith(ABSENT) or of_jobs


def _only_absent(matcher: str) -> bool:
    named = set(re.findall(r"kcs-\w+", matcher))
    return bool(named) and named <= _JOBS


# --- what runs here ------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel.name)
def test_every_panel_has_data(seen: Seen, panel: Panel) -> None:
    empty = [query for query in panel.queries if not seen.has_data(query)]
    assert [query for query in empty if not absent(query)] == []


@pytest.mark.parametrize("rule", RECORDINGS, ids=lambda rule: rule.name)
def test_every_recording_rule_has_data(seen: Seen, rule: Recording) -> None:
    if not absent(rule.expr):
        labels = ",".join(f'{name}="{value}"' for name, value in rule.labels.items())
        assert seen.has_data(f"{rule.name}{{{labels}}}")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_has_a_value_while_nothing_is_wrong(seen: Seen, alert: Alert) -> None:
    for selector in selectors(alert.value):
        assert absent(selector.text) or seen.has_data(selector.text) or _may_be_new(selector)
    if not absent(alert.value, all):
        assert seen.has_data(alert.value)
    for selector in selectors(alert.only_if):
        assert absent(selector.text) or seen.has_data(selector.text)
    seen.prometheus.now(alert.expr)


def _may_be_new(selector: Selector) -> bool:
    """A counter's series of an error begins with the first one; its query says 0 until then."""
    return any(label == "result" and "UNAVAILABLE" in text for label, text in selector.labels)


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("Kcs*.md")), ids=lambda page: page.stem)
def test_the_queries_of_runbooks_are_understood_and_name_what_there_is(
    seen: Seen, page: Path
) -> None:
    known = set(seen.prometheus.ask("label/__name__/values")) | {r.name for r in RECORDINGS}
    for query in _queries_of(page):
        seen.prometheus.now(query)
        for selector in selectors(query):
            assert selector.name.startswith(ABSENT) or selector.name in known, query


def _queries_of(page: Path) -> list[str]:
    """What stands in a page's blocks and is no command; placeholders are any text."""
    blocks = page.read_text().split("```\n")[1::2]
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [re.sub(r"<[^>]+>", "x", line) for line in lines if not line.startswith("kubectl ")]


def test_prometheus_loaded_all_rules_and_none_fails(seen: Seen) -> None:
    groups = seen.prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {each.name for each in (*ALERTS, *RECORDINGS)}
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []


def test_every_metric_is_known(seen: Seen) -> None:
    known = set(seen.prometheus.ask("label/__name__/values")) | {r.name for r in RECORDINGS}
    queries = [query for panel in panels() for query in panel.queries]
    queries += [each for a in ALERTS for each in (a.value, a.only_if)]
    queries += [rule.expr for rule in RECORDINGS]
    named = {selector.name for query in queries for selector in selectors(query)}
    assert len(named) > 60
    assert {name for name in named if not name.startswith(ABSENT)} - known == set()


def test_nothing_fires_while_all_is_well_and_a_crashed_worker_does(seen: Seen) -> None:
    firing = 'ALERTS{alertstate="firing"}'
    told = seen.prometheus.ask("query", query=firing, time=seen.ended)["result"]
    assert [each["metric"]["alertname"] for each in told] == []
    (crash,) = seen.crash
    assert crash["metric"]["pod"] == "node-1"
    (active,) = [
        alert
        for alert in seen.prometheus.ask("alerts")["alerts"]
        if alert["labels"]["alertname"] == "KcsSfuWorkerCrashed"
    ]
    assert active["annotations"]["summary"] == "A media worker of node-1 crashed."
