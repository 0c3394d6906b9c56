"""People with a local account: a link without a token asks them who they are."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from playwright.async_api import Page, expect
from tests.support.identity_provider import IdentityProvider

from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.processes import free_port
from kcs_dev.stack import LocalStack

StartStack = Callable[..., Awaitable[LocalStack]]
PASSWORD = "correct horse battery"
ACCOUNTS = {"KCS_AUTH__DEV_LOGIN": "false", "KCS_AUTH__LOCAL_ACCOUNTS": "true"}


async def _add_account(stack: LocalStack, user_id: str, name: str) -> None:
    """As an operator does."""
    options = (user_id, "--name", name, "--email", f"{user_id}@example.org")
    sql = f"sqlite+aiosqlite:///{stack.directory}/kcs-meetings.sqlite"
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kcs_signaling.accounts",
        "add",
        *options,
        stdin=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "KCS_SQL__URL": sql},
    )
    await command.communicate(f"{PASSWORD}\n".encode())
    assert command.returncode == 0


async def _links(stack: LocalStack, host: str) -> tuple[str, str]:
    """A meeting of that account's: its bare link, and a guest's link with a token."""
    async with aiohttp.ClientSession(stack.url, raise_for_status=True) as http:
        login = {"user_id": host, "password": PASSWORD}
        async with http.post("/api/v1/auth/token", json=login) as answer:
            token = (await answer.json())["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        async with http.post("/api/v1/meetings", json={}, headers=bearer) as answer:
            meeting = (await answer.json())["id"]
        path, ben = f"/api/v1/meetings/{meeting}/tokens", {"display_name": "Ben"}
        async with http.post(path, json=ben, headers=bearer) as answer:
            return f"{stack.url}/m/{meeting}", (await answer.json())["join_url"]


async def _sign_in(page: Page, password: str) -> None:
    await page.get_by_test_id("login-input").fill("ada@example.org")
    await page.get_by_test_id("password-input").fill(password)
    await page.keyboard.press("Enter")


async def _is_asked(page: Page, purpose: str) -> None:
    await expect(page.get_by_role("heading")).to_have_text(f"Sign in {purpose}".strip())
    await expect(page.get_by_test_id("login-input")).to_be_focused()
    assert await page.locator("video").count() == 0


async def _joins(person: Person) -> None:
    await expect(person.page.get_by_test_id("name-input")).to_have_value("Ada Lovelace")
    await expect(person.page.get_by_test_id("account-name")).to_have_text("Ada Lovelace")
    await person.page.get_by_test_id("join-button").click()
    await until(person.joined, "Ada has joined")


async def test_a_person_signs_in_to_join_stays_signed_in_and_signs_out(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack(env=ACCOUNTS)
    await _add_account(stack, "ada", "Ada Lovelace")
    link, guest_link = await _links(stack, "ada")
    ada, ben = await chromium.person(), await chromium.person()

    await ada.page.goto(link)
    await _is_asked(ada.page, "to join the meeting")
    await _sign_in(ada.page, "not her password")
    problem = ada.page.get_by_test_id("sign-in-problem")
    await expect(problem).to_contain_text("No account has that name and that password")
    await expect(ada.page.get_by_test_id("password-input")).to_be_focused()
    await ada.page.keyboard.type(PASSWORD)  # over what was wrong, which is selected
    await ada.page.keyboard.press("Enter")
    await _joins(ada)
    await ben.page.goto(guest_link)
    await expect(ben.page.get_by_test_id("name-input")).to_have_value("Ben")
    assert await ben.page.get_by_test_id("account-name").count() == 0
    await ben.page.get_by_test_id("join-button").click()
    await until(lambda: everybody_gets_everybody([ada, ben]), "both see and hear each other")

    await ada.page.reload()
    await _joins(ada)
    kept = "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    assert "eyJ" not in await ada.page.evaluate(kept)

    await ada.page.reload()
    other_tab = await ada.context.new_page()
    await other_tab.goto(stack.url)
    await expect(other_tab.get_by_test_id("account-name")).to_have_text("Ada Lovelace")
    await ada.page.get_by_test_id("sign-out-button").click()
    await _is_asked(ada.page, "to join the meeting")
    await expect(other_tab.get_by_test_id("sign-in-button")).to_be_visible()
    await ada.page.reload()
    await _is_asked(ada.page, "to join the meeting")
    assert await ada.context.cookies() == []


async def test_a_person_signs_in_to_start_a_meeting(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack(env=ACCOUNTS)
    await _add_account(stack, "ada", "Ada Lovelace")
    ada = await chromium.person()
    await ada.page.goto(stack.url)
    await ada.page.get_by_test_id("new-meeting-button").click()
    await _is_asked(ada.page, "to start a meeting")
    await _sign_in(ada.page, PASSWORD)
    await ada.page.wait_for_url("**/m/*")
    await _joins(ada)


async def test_a_person_signs_in_with_an_identity_provider(
    start_stack: StartStack, chromium: Chromium, tmp_path: Path
) -> None:
    port = free_port()
    back = f"http://127.0.0.1:{port}/api/v1/auth/external/callback"
    async with IdentityProvider(back) as provider:
        env = {"KCS_AUTH__DEV_LOGIN": "false"} | provider.environment(tmp_path)
        stack = await start_stack(port=port, env=env)
        grace = await chromium.person()
        await grace.page.goto(stack.url)
        await grace.page.get_by_test_id("new-meeting-button").click()
        await expect(grace.page.get_by_role("heading")).to_have_text("Sign in to start a meeting")
        provider.refuses = True
        await grace.page.get_by_test_id("provider-link").click()
        await expect(grace.page.get_by_test_id("sign-in-problem")).to_contain_text("let you in")
        provider.refuses = False
        await grace.page.get_by_test_id("provider-link").click()
        await expect(grace.page.get_by_test_id("account-name")).to_have_text("Grace Hopper")
        assert grace.page.url == f"{stack.url}/"
        await grace.page.get_by_test_id("new-meeting-button").click()
        await expect(grace.page.get_by_test_id("name-input")).to_have_value("Grace Hopper")
        link = grace.page.url
        await grace.page.get_by_test_id("sign-out-button").click()
        await grace.page.get_by_test_id("provider-link").click()
        await grace.page.wait_for_url(link)
        await grace.page.get_by_test_id("join-button").click()
        await until(grace.joined, "Grace has joined")


async def test_too_many_wrong_passwords_and_a_service_that_is_away_are_told_apart(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack(env=ACCOUNTS)
    ada = await chromium.person()
    await ada.page.goto(f"{stack.url}/m/k7f-x2mq-9tb")
    problem = ada.page.get_by_test_id("sign-in-problem")
    submit = ada.page.get_by_test_id("sign-in-submit")
    for _ in range(11):
        await expect(submit).to_be_enabled()
        async with ada.page.expect_response("**/api/v1/auth/session"):
            await _sign_in(ada.page, "not her password")
    await expect(problem).to_contain_text("There were too many tries")
    await expect(submit).to_be_disabled()
    await expect(submit).to_contain_text("Try again in 0:")

    await ada.page.reload()
    await _is_asked(ada.page, "to join the meeting")
    await stack.signaling[0].child.stop()
    await _sign_in(ada.page, PASSWORD)
    await expect(problem).to_contain_text("The service does not answer")
    await expect(submit).to_be_enabled()
