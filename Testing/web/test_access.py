"""Who is let in, and what a server may be asked for; no browser and no session is needed."""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("aiohttp", reason="the extra app is not installed")

from aiohttp import web as http

from ElasticHyperRegLib.cli import serve as cli
from ElasticHyperRegLib.cli.shell import run
from ElasticHyperRegLib.errors import InputError
from web import options as options_module
from web.options import Demo, PageOptions, PairFiles, ServeOptions, Start
from web.serve import build, listen, page_url
from web.workers import Workers

from .test_front import visit

TOKEN = "a long secret"


def test_wrong_token_is_refused_everywhere():
    async def scenario(client, workers):
        for path in (
            "/",
            "/session/x/",
            "/session/x/ws",
            "/session/x/upload/fixed",
            "/favicon.ico",
        ):
            for query in ("", "?token=wrong", "?token=", f"?token={TOKEN[:-1]}"):
                answer = await client.get(path + query, allow_redirects=False)
                assert answer.status == 401, path + query
        assert list(workers) == []

    visit(scenario, ServeOptions(token=TOKEN))


def test_token_becomes_a_cookie_and_leaves_the_address():
    async def scenario(client, workers):
        answer = await client.get("/favicon.ico", params={"token": TOKEN}, allow_redirects=False)
        assert answer.status == 303
        assert answer.headers["Location"] == "/favicon.ico"
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert TOKEN not in cookie
        assert (await client.get("/favicon.ico")).status == 204

    visit(scenario, ServeOptions(token=TOKEN))


def test_token_in_the_header_is_enough():
    async def scenario(client, workers):
        for secret, status in ((TOKEN, 204), ("wrong", 401)):
            headers = {"Authorization": f"Bearer {secret}"}
            assert (await client.get("/favicon.ico", headers=headers)).status == status

    visit(scenario, ServeOptions(token=TOKEN))


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_other_sites_are_refused(headers):
    async def scenario(client, workers):
        for path in ("/favicon.ico", "/session/x/ws"):
            assert (await client.get(path, headers=headers)).status == 403

    visit(scenario)


@pytest.mark.parametrize(
    ("site", "mode", "dest", "status"),
    [
        ("cross-site", "no-cors", "image", 403),
        ("same-site", "no-cors", "image", 403),  # another port of this machine
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "navigate", "document", 204),
        ("same-origin", "cors", "empty", 204),
        ("none", "navigate", "document", 204),
    ],
)
def test_other_sites_may_only_link_here(site, mode, dest, status):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}

    async def scenario(client, workers):
        assert (await client.get("/favicon.ico", headers=headers)).status == status

    visit(scenario)


def test_only_a_visit_opens_a_session():
    async def scenario(client, workers):
        prefetch = {"Sec-Purpose": "prefetch;prerender"}
        assert (await client.get("/", headers=prefetch)).status == 403
        assert (await client.head("/", allow_redirects=False)).status == 405
        assert list(workers) == []

    visit(scenario)


def test_a_proxy_may_have_a_name_where_there_is_a_token():
    async def scenario(client, workers):
        headers = {"Host": "scans.example", "Origin": "https://scans.example"}
        admitted = {**headers, "Authorization": f"Bearer {TOKEN}"}
        assert (await client.get("/favicon.ico", headers=headers)).status == 401
        assert (await client.get("/favicon.ico", headers=admitted)).status == 204

    visit(scenario, ServeOptions(token=TOKEN))


def test_the_client_derives_the_scheme_that_the_browser_used():
    async def scenario(client, workers):
        answer = await client.post("/session/x/paraview/")
        assert await answer.json() == {"sessionURL": "ws://USE_HOST/session/x/ws"}

    visit(scenario)


def test_open_host_needs_a_token():
    with pytest.raises(InputError, match="--token"):
        ServeOptions(host="0.0.0.0")
    assert ServeOptions(host="0.0.0.0", token=TOKEN).token == TOKEN
    with pytest.raises(InputError, match="characters"):
        ServeOptions(token="short")


def test_the_token_may_stand_in_the_environment(monkeypatch):
    asked = []
    monkeypatch.setattr(cli, "_page", lambda: (options_module, lambda how, _: asked.append(how)))
    monkeypatch.setenv("ELASTIC_HYPERREG_TOKEN", TOKEN)
    assert run(["serve", "--host", "0.0.0.0"]) == 0
    assert asked[0].token == TOKEN


def test_options_survive_the_way_to_the_worker(tmp_path):
    scan = tmp_path / "scan.nii.gz"
    scan.touch()
    pair, start = (
        PairFiles({"fixed": str(scan), "moving": str(scan)}),
        Start("phantom", "none", "m"),
    )
    for opened in ({"demo": Demo("cardiac", 48, "m")}, {"pair": pair}, {"start": start}, {}):
        options = PageOptions(data=tmp_path, upload_mib=7, device="cpu", **opened)
        assert PageOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_what_cannot_be_opened_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="thorax or cardiac"):
        Demo("lung")
    with pytest.raises(InputError, match="32 to 256"):
        Demo("thorax", 8)
    with pytest.raises(InputError, match="--moving"):
        PairFiles({"fixed": str(tmp_path)})
    with pytest.raises(InputError, match="exists"):
        PairFiles({"fixed": str(tmp_path), "moving": str(tmp_path / "none")})
    pair = PairFiles({"fixed": str(tmp_path), "moving": str(tmp_path)})
    with pytest.raises(InputError, match="one pair"):
        PageOptions(demo=Demo(), pair=pair)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--demo", "--initial", "rigid"], "--demo with --tissues or --initial"),
        (["cardiac"], "--demo before it"),
        (["--initial", "wild"], "none or translation"),
    ],
)
def test_a_demo_begins_as_it_does(monkeypatch, capsys, given, told):
    monkeypatch.setattr(cli, "_page", lambda: (options_module, lambda *_: None))
    assert run(["serve", *given]) == 2
    assert told in capsys.readouterr().err


def test_how_to_begin_may_be_told_without_a_pair(monkeypatch):
    asked = []
    monkeypatch.setattr(cli, "_page", lambda: (options_module, lambda how, _: asked.append(how)))
    assert run(["serve", "--model", "none", "--initial", "rigid"]) == 0
    assert run(["serve", "--demo", "--model", "none"]) == 0
    assert asked[0].page.start == Start(None, "rigid", "none")
    assert asked[0].page.pair is None
    assert asked[1].page.demo == Demo(model="none")


@pytest.mark.parametrize("name", ["127.0.0.2:80", "localhost", "[::1]:80"])
def test_every_name_of_loopback_is_ours(name):
    async def scenario(client, workers):
        answer = await client.get("/favicon.ico", headers={"Host": name})
        assert answer.status == 204

    visit(scenario)


def test_a_proxy_that_hides_the_name_is_told():
    async def scenario(client, workers):
        headers = {"Origin": "https://scans.example", "Authorization": f"Bearer {TOKEN}"}
        answer = await client.get("/favicon.ico", headers=headers)
        assert answer.status == 403
        assert "page of scans.example" in await answer.text()
        assert "pass on the Host header" in await answer.text()

    visit(scenario, ServeOptions(token=TOKEN))


def test_address_is_one_that_can_be_opened():
    options = ServeOptions(host="0.0.0.0", token=TOKEN)

    async def go() -> str:
        runner = http.AppRunner(build(options, Workers(options.page, options.limits)))
        await runner.setup()
        await listen(runner, options)
        url = page_url(options, runner)
        await runner.cleanup()
        return url

    assert asyncio.run(go()).startswith("http://127.0.0.1:")
