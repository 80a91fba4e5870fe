"""Routes that sources bring: served beside the port's own, by the source's own rules of who may ask."""

from pathlib import Path

import aiohttp
import pytest
from builders.web import FakeControl, open_port

from vidd.ports import Declined, Reply, SourceRoute


async def tell(call):
    """What was asked, back again."""
    if call.fields.get("bad"):
        raise Declined(409, "Somebody else was first: wait.")
    return Reply(202, {"named": dict(call.named), "query": dict(call.query), "fields": dict(call.fields)})


async def page(_call):
    return Reply(200, "<p>hello</p>", "text/html")


async def who(call):
    """Who asked, and by which name."""
    return Reply(200, {"remote": call.remote, "origin": call.origin, "key": call.headers.get("idempotency-key")})


async def video(call):
    """A file; not there where it is called so."""
    return Reply(file=Path(__file__).with_name(call.named["name"]), content_type="video/mp4")


FRONTS = (
    SourceRoute("POST", "/api/tell", tell, "Tells.", {"type": "object"}),
    SourceRoute("GET", "/show/{id}/of/{year}", tell, "Shows."),
    SourceRoute("GET", "/api/tell", page, "The form."),
    SourceRoute("GET", "/who", who, "Says who asked.", public=True),
    SourceRoute("GET", "/start", who, "Starts something.", public=True, head=False),
    SourceRoute("GET", "/video/{name}", video, "A video.", public=True),
)


@pytest.fixture
async def port():
    control = FakeControl()
    control.brought += FRONTS
    async with open_port(control) as (_, url), aiohttp.ClientSession(url) as session:
        yield control, session


async def asked(session, method, path, **more):
    async with session.request(method, path, **more) as answer:
        kind = answer.content_type
        return answer.status, (await answer.json() if kind.endswith("json") else await answer.text()), answer.headers


@pytest.mark.parametrize("how", ["data", "json"])
async def test_a_form_and_json_are_the_same_fields(port, how):
    status, told, _ = await asked(port[1], "POST", "/api/tell?a=1", **{how: {"x": "y z"}})
    assert (status, told) == (202, {"named": {}, "query": {"a": "1"}, "fields": {"x": "y z"}})


async def test_parts_of_the_path_have_names(port):
    status, told, _ = await asked(port[1], "GET", "/show/a%20b/of/2026")
    assert (status, told["named"]) == (202, {"id": "a b", "year": "2026"})
    assert (await asked(port[1], "GET", "/show//of/2026"))[0] == 404
    assert (await asked(port[1], "GET", "/show/a/of/2026/more"))[0] == 404


async def test_what_a_source_declines_is_a_problem(port):
    status, told, headers = await asked(port[1], "POST", "/api/tell", json={"bad": 1})
    assert (status, told["detail"]) == (409, "Somebody else was first: wait.")
    assert headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("body", "sentence"), [("{", "The body is neither JSON"), ("[1]", "but not an object"), ("\udcff", None)]
)
async def test_a_body_that_is_no_fields_is_a_problem(port, body, sentence):
    data = body.encode(errors="surrogateescape")
    status, told, _ = await asked(port[1], "POST", "/api/tell", data=data, headers={"Content-Type": "application/json"})
    assert status == 400
    assert sentence is None or sentence in told["detail"]


async def test_a_text_is_given_as_it_is_and_another_method_is_named(port):
    assert (await asked(port[1], "GET", "/api/tell"))[:2] == (200, "<p>hello</p>")
    status, _, headers = await asked(port[1], "DELETE", "/api/tell")
    assert (status, headers["Allow"]) == (405, "GET,POST")
    assert (await asked(port[1], "GET", "/nowhere"))[0] == 404


async def test_the_document_lists_what_is_brought_now(port):
    control, session = port
    paths = (await asked(session, "GET", "/api/openapi.json"))[1]["paths"]
    assert set(paths["/api/tell"]) == {"get", "post"}
    assert paths["/show/{id}/of/{year}"]["get"]["parameters"][0]["name"] == "id"
    control.brought.clear()
    assert "/api/tell" not in (await asked(session, "GET", "/api/openapi.json"))[1]["paths"]
    assert (await asked(session, "GET", "/api/tell"))[0] == 404


async def test_while_the_store_is_away_nothing_is_asked_for(port):
    control, session = port
    control.store.trouble = "MongoDB has no primary."
    status, told, _ = await asked(session, "POST", "/api/tell", json={})
    assert (status, told["detail"]) == (503, "The store is away: MongoDB has no primary.")


async def test_whoever_calls_the_daemon_by_a_strange_name_is_sent_away(port):
    status, _, _ = await asked(port[1], "POST", "/api/tell", json={}, headers={"Host": "evil.example"})
    assert status == 421


async def test_a_public_route_is_answered_by_any_name_and_learns_which(port):
    headers = {"Host": "videos.example.org:5000", "Idempotency-Key": "k1"}
    status, told, _ = await asked(port[1], "GET", "/who", headers=headers)
    assert (status, told) == (
        200,
        {"remote": "127.0.0.1", "origin": "http://videos.example.org:5000", "key": "k1"},
    )
    assert (await asked(port[1], "GET", "/show/a/of/2026", headers=headers))[0] == 421


async def test_a_file_is_sent_by_ranges_and_not_again_to_who_has_it(port):
    content = Path(__file__).read_bytes()
    session, path = port[1], "/video/test_source_routes.py"
    async with session.get(path, headers={"Range": "bytes=10-19"}) as answer:
        assert (answer.status, await answer.read()) == (206, content[10:20])
        assert (answer.content_type, answer.headers["Content-Range"]) == ("video/mp4", f"bytes 10-19/{len(content)}")
        tag = answer.headers["ETag"]
    async with session.get(path, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with session.head(path) as answer:
        assert (answer.status, answer.content_length) == (200, len(content))
    async with session.get(path, headers={"Range": f"bytes={len(content)}-"}) as answer:
        assert answer.status == 416


async def test_a_file_that_is_gone_is_a_404(port):
    status, told, _ = await asked(port[1], "GET", "/video/gone.mp4")
    assert (status, told["detail"]) == (404, "That file is no longer there.")


async def test_head_starts_nothing(port):
    async with port[1].head("/start") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
    assert (await asked(port[1], "GET", "/start"))[0] == 200
