"""A real receiver of traces: OTLP over HTTP, decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Span:
    """One span, as it came."""

    name: str
    trace: bytes
    id: bytes
    parent: bytes
    """Empty for the first of a trace."""
    failed: bool
    about: dict[str, str]
    service: str


class Receiver:
    """Listens on loopback. `async with` it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        """All that was sent."""
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        return web.Response(content_type="application/x-protobuf")

    def first(self, name: str, **about: str) -> Span | None:
        """The first span of that name of which all this is said; `kcs_kind` is `kcs.kind`."""
        wanted = {key.replace("_", "."): value for key, value in about.items()}
        found = (s for s in self.spans if s.name == name and wanted.items() <= s.about.items())
        return next(found, None)

    def within(self, span: Span) -> list[Span]:
        """What was asked in it."""
        return [each for each in self.spans if each.parent == span.id and each.trace == span.trace]


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        of = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for each in scope.spans:
                yield Span(
                    name=each.name,
                    trace=each.trace_id,
                    id=each.span_id,
                    parent=each.parent_span_id,
                    failed=each.status.code == Status.STATUS_CODE_ERROR,
                    about={one.key: one.value.string_value for one in each.attributes},
                    service=of["service.name"],
                )
