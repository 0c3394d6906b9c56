"""Each end-to-end test has a system of its own, made of processes, and browsers of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import expect

from kcs_dev.api import access_token
from kcs_dev.browser import Chromium, Person
from kcs_dev.stack import ROOT, LocalStack

GUIDE = ROOT / "docs" / "guides" / "client-guide.md"

expect.set_options(timeout=20_000)  # as long as `kcs_dev.browser.until` waits


@pytest.fixture
async def start_stack(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[LocalStack]]]:
    """Starts a `LocalStack` with the given arguments; it is stopped after the test."""
    async with AsyncExitStack() as exit_stack:

        async def start(**arguments: object) -> LocalStack:
            stack = LocalStack(tmp_path / "stack", **arguments)  # type: ignore[arg-type] # LocalStack's own
            return await exit_stack.enter_async_context(stack)

        yield start


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    """A browser with a fake camera and microphone."""
    async with Chromium() as browser:
        yield browser


def the_guides_sample(server: str) -> str:
    """The guide's complete example as it is printed, with the server's address put in."""
    text = GUIDE.read_text().split("## Complete Integration Example", 1)[1]
    sample = text.split("```javascript\n", 1)[1].split("```", 1)[0]
    assert sample.count("https://your-domain.com") == 1
    return sample.replace("https://your-domain.com", server)


@pytest.fixture
def enter_with_the_guides_client(
    tmp_path: Path,
) -> Callable[..., Awaitable[Person]]:
    """Somebody who joins with the client guide's sample client, and sends: (stack, browser,
    meeting, name)."""

    async def enter(
        stack: LocalStack, browser: Chromium, meeting: str, name: str, *, sends: bool = True
    ) -> Person:
        source, bundle = tmp_path / "guide-source.js", tmp_path / "guide.js"
        page = (Path(__file__).parent / "guide" / "page.js").read_text()
        source.write_text(the_guides_sample(stack.url) + page)
        modules = ROOT / "web" / "node_modules"
        argv = ["node", str(Path(__file__).parent / "guide" / "bundle.mjs")]
        bundler = await asyncio.create_subprocess_exec(*argv, source, bundle, modules)
        assert await bundler.wait() == 0
        person = await browser.person()
        address = f"{stack.url}/guide-sample"
        script = '<script type="module" src="/guide-sample.js"></script>'
        html = f'<div id="videos-container"></div>{script}'
        await person.page.route(
            address, lambda route: route.fulfill(content_type="text/html", body=html)
        )
        await person.page.route(
            f"{address}.js",
            lambda route: route.fulfill(content_type="text/javascript", path=bundle),
        )
        await person.page.goto(address)
        await person.page.wait_for_function("window.enter !== undefined")
        token = await access_token(stack.url, name.lower(), name)
        await person.page.evaluate("([token, id]) => enter(token, id)", [token, meeting])
        if sends:
            await person.page.evaluate("send()")
        return person

    return enter
