"""`python -m kcs_operator.uninstall`: what `helm uninstall` runs for pools and declared meetings.

Finalizers are the operator's to take away; once it is gone nobody would, and the objects would
stay for ever when they are deleted. With `--delete`, before the operator goes, pools and meetings
of the namespace are deleted, with their finalizers: the pods of a pool go with it, and with them
the calls. Without it they only lose their finalizers, with `--when-gone` once the operator's pods
are gone: it would put that of a pool with people in it back.
"""

import argparse
import asyncio
import sys
import time
from contextlib import suppress

from kcs_contracts.labels import selector
from kcs_operator.cluster import Cluster
from kcs_operator.errors import NotFound, OperatorError, Temporary

_KINDS = ("meetings", "sfupools")
"""In this order: a meeting's pool is there as long as it is."""


async def release(cluster: Cluster, *, delete: bool) -> int:
    """Takes the finalizers away, and deletes the objects; how many there were."""
    count = 0
    for plural in _KINDS:
        for each in await cluster.list(plural):
            count += 1
            name = str(each["metadata"]["name"])
            with suppress(NotFound):
                if delete:
                    await cluster.delete(plural, name)
                if each["metadata"].get("finalizers"):
                    await cluster.patch(plural, name, {"metadata": {"finalizers": None}})
    return count


async def done(cluster: Cluster, *, delete: bool, when_gone: str = "") -> str:
    """What is left to do; empty when nothing is. Finalizers that came back go again.

    Args:
        when_gone: `namespace/label selector` of pods; nothing is done while there are any.
    """
    try:
        if when_gone:
            namespace, _, chosen = when_gone.partition("/")
            pods = await cluster.in_namespace(namespace).list("pods", chosen)
            if pods:
                return f"{len(pods)} pods of the operator are there"
        count = await release(cluster, delete=delete)
        if not delete:
            return ""
        if count:
            return f"{count} pools and meetings are there"
        pods = await cluster.list("pods", selector())
    except Temporary as error:
        return str(error)
    return f"{len(pods)} pods of pools are there" if pods else ""


async def run(namespace: str, delete: bool, patience_s: float, when_gone: str = "") -> None:
    """All of it.

    Raises:
        OperatorError: the API server does not let us, or something was left.
    """
    deadline = time.monotonic() + patience_s
    async with await Cluster.connect(namespace) as cluster:
        while left := await done(cluster, delete=delete, when_gone=when_gone):
            if time.monotonic() > deadline:
                raise OperatorError(f"after {patience_s:.0f} s: {left}")
            await asyncio.sleep(1)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="kcs_operator.uninstall")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--delete", action="store_true", help="delete pools and meetings")
    gone = "do nothing while there are such pods: NAMESPACE/SELECTOR"
    parser.add_argument("--when-gone", default="", help=gone)
    parser.add_argument("--patience", type=float, default=90, help="seconds to wait for the pods")
    options = parser.parse_args()
    try:
        wanted = (options.namespace, options.delete, options.patience, options.when_gone)
        asyncio.run(run(*wanted))
    except OperatorError as error:
        print(f"not uninstalled: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
