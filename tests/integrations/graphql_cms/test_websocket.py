import asyncio

import pytest
from builders.cms import CmsSourceContext, the_options, the_tools, watching
from peers.bare_socket import bare
from peers.certificates import make_certificate
from peers.cms import a_video

from vidd.errors import Fault, Refused, RetryLater
from vidd.integrations.graphql_cms.account import Account
from vidd.integrations.graphql_cms.errors import NotAllowed
from vidd.integrations.graphql_cms.websocket import ConnectionOptions, subscribe

QUICK = ConnectionOptions(ping=0)
PINGS = ConnectionOptions(ping=0.1, pong=0.1)
DOCUMENT = "subscription { videoObjectCreated { id } }"


async def fault_at(server, tmp_path, options=QUICK, *, heard=None, **account) -> Fault:
    """The fault a subscription ends with; what it told before goes to `heard`."""
    heard = [] if heard is None else heard
    tools = the_tools(tmp_path, server.url)
    try:
        async with (
            asyncio.timeout(60),
            subscribe(Account(url=server.url, **account), tools, DOCUMENT, options) as line,
        ):
            while True:
                heard += await line.batch()
    except Fault as fault:
        return fault


def closing(code, reason=""):
    async def script(line):
        await line.greet()
        await line.close(code, reason)

    return script


@pytest.mark.parametrize(
    ("code", "fate", "words"),
    [
        (4400, Refused, "calls what was sent malformed"),
        (4401, NotAllowed, "correct the token"),
        (4403, NotAllowed, "correct the token"),
        (4406, Refused, "does not speak this protocol"),
        (4408, RetryLater, "came too late"),
        (4409, RetryLater, "already has a subscription"),
        (4429, RetryLater, "too many"),
        (4444, Refused, "gives no known reason"),
        (4499, RetryLater, "ended the connection"),
        (4500, RetryLater, "it failed"),
        (1000, RetryLater, "ended the connection"),
        (1001, RetryLater, "going away"),
        (1008, Refused, "its rules do not allow"),
        (1011, RetryLater, "it failed"),
        (1013, RetryLater, "too busy"),
        (3999, RetryLater, "gives no known reason"),
    ],
)
async def test_a_close_code_becomes_a_sentence_with_its_fate(tmp_path, code, fate, words):
    async with bare(closing(code, "as\nthe server says")) as server:
        fault = await fault_at(server, tmp_path)
    assert type(fault) is fate
    assert f"with {code} and said 'as the server says'" in fault.sentence
    assert words in fault.sentence


@pytest.mark.parametrize("code", [4401, 4403])
async def test_credentials_that_are_refused_at_the_greeting_are_known_by_the_code(tmp_path, code):
    async def script(line):
        await line.hear()
        await line.close(code, "bad token s3cret-token")

    async with bare(script) as server:
        fault = await fault_at(server, tmp_path, token="s3cret-token")
    assert isinstance(fault, NotAllowed)
    assert str(code) in fault.sentence
    assert "s3cret" not in fault.sentence


async def test_a_greeting_that_nobody_acknowledges_is_waited_for_so_long_and_no_longer(tmp_path):
    async def script(line):
        await line.deaf()

    async with bare(script) as server:
        fault = await fault_at(server, tmp_path, ConnectionOptions(ping=0, greeting=0.3))
    assert isinstance(fault, RetryLater)
    assert "did not acknowledge" in fault.sentence


@pytest.mark.parametrize("protocol", ["graphql-transport-ws", "graphql-ws"])
async def test_a_connection_whose_other_side_is_gone_is_found_out(tmp_path, protocol):
    async def script(line):
        await line.greet()
        await line.deaf()

    async with bare(script, protocol=protocol) as server:
        fault = await fault_at(server, tmp_path, PINGS)
    assert isinstance(fault, RetryLater)
    assert "the connection" in fault.sentence.lower()


MESSAGES = {
    "text": "hello",
    "list": [1, 2],
    "number": 7,
    "unknown type": {"type": "surprise"},
    "another protocol's": {"type": "auth", "status": "ok"},
    "event without an object": {"type": "next", "id": "1", "payload": [1]},
    "error without errors": {"type": "error", "id": "1", "payload": []},
    "id that is none": {"type": "next", "id": "x", "payload": {"data": None}},
    "too deep": "[" * 100_000,
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
async def test_a_message_that_is_not_of_the_protocol_ends_the_connection_and_nobody_waits_for_ever(tmp_path, message):
    async def after(line):
        await line.greet()
        await line.say(message)
        await line.deaf()

    async def before(line):
        await line.hear()
        await line.say(message)
        await line.deaf()

    # There are no pings, so nothing but the message can end it.
    async with bare(after) as server:
        assert isinstance(await fault_at(server, tmp_path), RetryLater)
    async with bare(before) as server:
        fault = await fault_at(server, tmp_path)
    assert isinstance(fault, RetryLater)
    assert "not of the protocol" in fault.sentence


async def test_bytes_are_not_of_the_protocol(tmp_path):
    async def script(line):
        await line.greet()
        await line.socket.send_bytes(b"\x00")
        await line.deaf()

    async with bare(script) as server:
        fault = await fault_at(server, tmp_path)
    assert "not of the protocol" in fault.sentence


async def test_an_event_before_the_greeting_is_acknowledged_is_not_of_the_protocol(tmp_path):
    async def script(line):
        await line.hear()
        await line.say({"type": "next", "id": "1", "payload": {"data": {"videoObjectCreated": a_video(1)}}})
        await line.say({"type": "connection_ack"})
        await line.deaf()

    async with bare(script) as server:
        fault = await fault_at(server, tmp_path)
    assert isinstance(fault, RetryLater)
    assert "connection ack" in fault.sentence


async def test_a_subscription_that_is_refused_says_why(tmp_path):
    async def script(line):
        await line.greet()
        await line.say({"type": "error", "id": "1", "payload": [{"message": "Cannot query field 'x'."}]})
        await line.deaf()

    async with bare(script) as server:
        fault = await fault_at(server, tmp_path)
    assert isinstance(fault, Refused)
    assert "Cannot query field 'x'." in fault.sentence


async def test_a_greeting_that_the_older_protocol_refuses_is_one_of_credentials(tmp_path):
    async def script(line):
        await line.hear()
        await line.say({"type": "connection_error", "payload": {"message": "who are you"}})
        await line.deaf()

    async with bare(script, protocol="graphql-ws") as server:
        fault = await fault_at(server, tmp_path)
    assert isinstance(fault, NotAllowed)
    assert "who are you" in fault.sentence


async def test_credentials_that_directus_refuses_are_known_though_it_does_not_close(tmp_path):
    async def script(line):
        await line.hear()
        await line.say(
            '{"type":"auth","status":"error","error":{"code":"AUTH_FAILED","message":"Wrong s3cret-token."}}'
        )
        await line.deaf()

    async with bare(script) as server:
        fault = await fault_at(server, tmp_path, token="s3cret-token")
    assert isinstance(fault, NotAllowed)
    assert "(Wrong [hidden].)" in fault.sentence


async def test_a_subscription_that_the_server_ends_is_asked_for_again(tmp_path):
    async def script(line):
        await line.greet()
        await line.say({"type": "complete", "id": "1"})
        await line.deaf()

    async with bare(script) as server:
        fault = await fault_at(server, tmp_path)
    assert fault.sentence == "The CMS ended the subscription; vidd will subscribe again."


async def test_what_came_before_the_end_is_still_told(tmp_path):
    async def script(line):
        await line.greet()
        for number in range(3):
            await line.say({"type": "next", "id": "1", "payload": {"data": {"number": number}}})
        await line.close(1012)

    async with bare(script) as server:
        heard = []
        fault = await fault_at(server, tmp_path, heard=heard)
    assert [event.data["number"] for event in heard] == [0, 1, 2]
    assert "restarting" in fault.sentence


@pytest.mark.parametrize(
    ("status", "fate"), [(401, NotAllowed), (403, NotAllowed), (404, Refused), (426, Refused), (503, RetryLater)]
)
async def test_a_handshake_that_is_refused_has_the_fate_of_its_status(tmp_path, status, fate):
    async with bare(status=status) as server:
        fault = await fault_at(server, tmp_path)
    assert type(fault) is fate
    assert str(status) in fault.sentence


async def test_a_server_that_is_not_there_is_tried_again(tmp_path):
    async with bare(closing(1000)) as server:
        pass
    fault = await fault_at(server, tmp_path)
    assert isinstance(fault, RetryLater)
    assert "cannot reach" in fault.sentence


async def test_a_certificate_counts_once_its_authority_is_named(tmp_path):
    certificate = make_certificate(tmp_path)
    async with bare(closing(1012), certificate=certificate.server()) as server:
        strange = await fault_at(server, tmp_path)
        named = await fault_at(server, tmp_path, ca=certificate.file)
    assert isinstance(strange, Refused)
    assert "certificate is not trusted" in strange.sentence
    assert "1012" in named.sentence


async def test_pings_of_the_server_are_answered(tmp_path):
    async def script(line):
        await line.greet()
        await line.say({"type": "ping"})
        while (await line.hear())["type"] != "pong":
            pass
        await line.close(4499, "thank you")

    async with bare(script) as server:
        fault = await fault_at(server, tmp_path)
    assert "thank you" in fault.sentence


@pytest.mark.slow
async def test_the_watcher_survives_all_of_it_with_a_new_connection_each_time(tmp_path):
    async def garbage(line):
        await line.greet()
        await line.say([])
        await line.deaf()

    async def well(line):
        await line.greet()
        await line.say({"type": "next", "id": "1", "payload": {"data": {"videoObjectCreated": a_video(2)}}})
        await line.deaf()

    async with bare(closing(1012), garbage, closing(4403), well) as server:
        server.listed = [a_video(1)]
        context = CmsSourceContext(the_tools(tmp_path, server.url))
        async with asyncio.timeout(60), watching(the_options(ping=0), context):
            while len(server.lines) < 4:
                context.wake()
                await asyncio.sleep(0)
            await context.until(lambda: "cm000002" in context.names and context.is_up)
    assert context.names == ["cm000001", "cm000002"]
    waits = [pause for pause in context.pauses if pause not in {5.0, 300.0}]
    assert len(waits) == 3
    assert waits[0] < waits[1] < waits[2]
    assert waits[2] >= 22.5 * 4


async def test_a_cms_that_tells_nothing_but_nonsense_is_not_asked_all_the_time(tmp_path):
    go = asyncio.Semaphore(0)

    async def nonsense(line):
        await line.greet()
        while True:
            await go.acquire()
            await line.say({"type": "next", "id": "1", "payload": {"data": {"videoObjectCreated": None}}})

    async with bare(nonsense) as server:
        context = CmsSourceContext(the_tools(tmp_path, server.url))
        async with watching(the_options(ping=0), context):
            await context.until(lambda: context.pauses == [5.0])
            go.release()
            await context.until(lambda: context.looks == 2 and context.pauses == [5.0, 300.0])
            go.release()
            await context.until(lambda: context.pauses == [5.0, 300.0, 5.0])
            assert context.looks == 2
            await context.look()
    assert len(context.dead) == 1
