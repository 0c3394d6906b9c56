"""Traces: nothing else in the operator knows OpenTelemetry.

Each reconciliation is a trace. What it asks of others (the Kubernetes API, Redis, signaling,
coturn) are the spans in it; what is asked outside of one is in none. Spans name objects, verbs and
the classes of errors: no people, no secrets, and no error's text, as that may quote either.

Where traces go is a setting (`TracingGroup`), all else OpenTelemetry's own `OTEL_*` variables.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode

from kcs_contracts.placement import Placement
from kcs_operator.errors import OperatorError

_log = structlog.get_logger(__name__)
_tracer = trace.get_tracer("kcs_operator")
_FLUSH_S = 2.0

Trigger = Literal["start", "change", "tick", "retry", "review"]
"""Why a reconciliation began."""


@asynccontextmanager
async def tracing(endpoint: str, namespace: str, identity: str) -> AsyncIterator[None]:
    """Traces go to `endpoint` (OTLP over HTTP) until this is left; once per process.

    A thread sends them: nobody waits for it, and what it cannot send in time is lost. Leaving gives
    it 2 s for the rest; it holds up no exit. Without an endpoint there is none, and nothing is
    recorded.

    Raises:
        OperatorError: a variable `OTEL_*` does not fit.
    """
    if not endpoint:
        yield
        return
    provider = _provider(endpoint, {"kcs.namespace": namespace, "service.instance.id": identity})
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _FLUSH_S)
        if ending.is_alive():
            _log.warning("traces_not_sent")


@contextmanager
def reconciliation(kind: str, name: str, trigger: Trigger) -> Iterator[Callable[[str], None]]:
    """A trace; what it gives takes the outcome."""
    about = {"kcs.kind": kind, "kcs.name": name, "kcs.trigger": trigger}
    with _span(f"reconcile {kind}", SpanKind.INTERNAL, about) as span:
        yield lambda outcome: span.set_attribute("kcs.outcome", outcome)


@contextmanager
def call(system: str, what: str, name: str = "") -> Iterator[None]:
    """Something asked of another system: a span, if this is a reconciliation that is traced.

    Args:
        what: one of a few.
        name: of the object that it is about.
    """
    if not trace.get_current_span().is_recording():
        yield
        return
    about = {"kcs.system": system} | ({"kcs.name": name} if name else {})
    with _span(f"{system} {what}", SpanKind.CLIENT, about):
        yield


class TracedPlacement(Placement):
    """Placement whose functions are spans."""

    async def _call(self, function: str, *args: str | int | float) -> list[Any]:
        with call("redis", function):
            return await super()._call(function, *args)


@contextmanager
def _span(name: str, kind: SpanKind, about: Mapping[str, str]) -> Iterator[Span]:
    with _tracer.start_as_current_span(
        name,
        kind=kind,
        attributes=about,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise


def _provider(endpoint: str, about: Mapping[str, str]) -> TracerProvider:
    # one line for what was lost is enough: not one for each try
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    resource = Resource.create({"service.name": "kcs-operator", **about})
    try:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError as error:
        raise OperatorError(f"a variable OTEL_* does not fit: {error}") from error
    return provider
