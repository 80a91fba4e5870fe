"""A call of the timeline service becomes a job, or an answer that names what is wrong with it."""

import asyncio

import pytest
from builders.timeline import Life

from vidd.integrations.timeline.source import Options
from vidd.model.job import State

MAX_INT = "9" * 40


@pytest.fixture
def life(request, tmp_path):
    return Life(getattr(request, "param", {}), tmp_path)


async def test_a_call_is_answered_with_the_fields_of_both_original_clients(life):
    async with life.running():
        status, body, headers = await life.get("/video?user=@ada&format=ogg&email=ada@example.org")
        job = await life.job(body["video_id"])
    name, _, key = body["video_id"].rpartition("-")
    assert (status, name, len(key)) == (202, "ada", 32)
    origin = job.facts["origin"]
    assert origin.startswith("http://127.0.0.1:")
    assert body["url"] == body["progress_url"] == headers["Location"] == f"{origin}/progress/{body['video_id']}"
    assert body["display_url"] == f"{origin}/display/{body['video_id']}"
    assert body["response"] == f"Creating video named {body['video_id']}.ogg."
    assert body.keys() == {"video_id", "response", "url", "progress_url", "display_url"}
    facts = {name: job.facts[name] for name in job.facts if name not in {"video_id", "origin"}}
    assert facts == {
        "user": "ada", "network": "x", "account": "birds", "count": 20, "seconds": 3.0, "format": "ogg",
        "formats": ["ogg", "mp4"], "email": "ada@example.org", "talk": None,
    }  # fmt: skip
    assert (job.state, job.location) == (State.SEEN, "timeline:x/ada")


@pytest.mark.parametrize("how", ["json", "data"])
async def test_a_call_may_be_a_post_with_json_or_a_form(life, how):
    async with life.running():
        fields = {"user": "ada", "count": 7, "seconds": 1.5} if how == "json" else {"user": "ada", "count": "7"}
        status, body, _ = await life.get("/video", method="POST", **{how: fields})
        assert (status, (await life.job(body["video_id"])).facts["count"]) == (202, 7)


@pytest.mark.parametrize("life", [{"compatible": True}], indirect=True)
async def test_a_compatible_service_answers_with_200_as_the_original_did(life):
    async with life.running():
        assert (await life.get("/video?user=ada"))[0] == 200


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "user is missing"),
        ({"user": ""}, "user is missing"),
        ({"user": "../../etc"}, "user cannot be"),
        ({"user": "ada\0"}, "user cannot be"),
        ({"user": "a" * 501}, "user is longer"),
        ({"user": "<b>ada</b>"}, "user cannot be"),
        ({"user": "ada", "format": "exe"}, "format cannot be"),
        ({"user": "ada", "format": "mp4\r\nX: y"}, "format cannot be"),
        ({"user": "ada", "network": "file:///etc/passwd"}, "network cannot be"),
        ({"user": "ada", "count": "-1"}, "count cannot be"),
        ({"user": "ada", "count": "0"}, "count cannot be"),
        ({"user": "ada", "count": "101"}, "count cannot be"),
        ({"user": "ada", "count": "1e2"}, "count cannot be"),
        ({"user": "ada", "count": "٣"}, "count cannot be"),
        ({"user": "ada", "count": MAX_INT}, "count cannot be"),
        ({"user": "ada", "seconds": "nan"}, "seconds cannot be"),
        ({"user": "ada", "seconds": "inf"}, "seconds cannot be"),
        ({"user": "ada", "seconds": "0"}, "seconds cannot be"),
        ({"user": "ada", "seconds": "-3"}, "seconds cannot be"),
        ({"user": "ada", "seconds": "61"}, "seconds cannot be"),
        ({"user": "ada", "email": "ada"}, "email cannot be"),
        ({"user": "ada", "email": "ada@example.org\nBcc: eve@example.org"}, "email cannot be"),
        ({"user": "ada", "email": "ada@example.org,eve@example.org"}, "email cannot be"),
        ({"user": "ada", "email": "Ada <ada@example.org>"}, "email cannot be"),
    ],
)
async def test_a_bad_parameter_is_named_in_json_and_makes_no_job(life, query, named):
    async with life.running():
        status, body, headers = await life.get("/video", params=query)
        assert (status, body["detail"][: len(named)]) == (422, named)
        assert headers["Content-Type"].startswith("application/problem+json")
        assert await life.store.jobs() == []


@pytest.mark.parametrize("value", [True, ["ada"], {"a": 1}])
async def test_a_json_value_of_another_type_is_named_too(life, value):
    async with life.running():
        status, body, _ = await life.get("/video", method="POST", json={"user": value})
        assert (status, body["detail"]) == (422, "user is neither a text nor a number: send one.")


@pytest.mark.parametrize("life", [{"users": ["@Ada", "mastodon:eve"]}], indirect=True)
async def test_only_the_users_of_the_list_are_shown(life):
    async with life.running():
        assert (await life.get("/video?user=ADA"))[0] == 202
        status, body, _ = await life.get("/video?user=eve")
        assert (status, body["detail"][:20]) == (403, "user cannot be 'eve'")


async def test_the_same_call_sent_again_with_its_key_is_the_same_video(life):
    async with life.running():
        asked = {"params": {"user": "ada", "count": 5}, "headers": {"Idempotency-Key": "k-1"}}
        first, again = (await life.get("/video", **asked))[1], (await life.get("/video", **asked))[1]
        assert first == again
        assert await life.begin(count=5) != first["video_id"]
        assert len(await life.store.jobs()) == 2


async def test_a_key_that_came_with_another_call_is_refused(life):
    async with life.running():
        headers = {"Idempotency-Key": "k-1"}
        await life.get("/video?user=ada", headers=headers)
        status, body, _ = await life.get("/video?user=grace", headers=headers)
        assert (status, body["detail"][:15]) == (422, "Idempotency-Key")
        for key in ("", "k" * 201):
            assert (await life.get("/video?user=ada", headers={"Idempotency-Key": key}))[0] == 422


@pytest.mark.parametrize("life", [{"rate": 3}], indirect=True)
async def test_an_address_that_calls_too_often_is_told_when_it_may_again(life):
    async with life.running():
        for _ in range(3):
            await life.begin()
        status, body, headers = await life.get("/video?user=ada")
        assert (status, headers["Retry-After"]) == (429, "20")
        assert "wait 20 s" in body["detail"]
        life.clock.forward(20)
        await life.begin()
        assert (await life.get("/video?user=ada"))[0] == 429


@pytest.mark.parametrize("life", [{"rate": 100_000, "max_waiting": 40}], indirect=True)
async def test_of_a_thousand_calls_at_once_as_many_are_taken_as_there_is_room_for(life):
    async with life.running():
        answers = await asyncio.gather(*(life.get("/video?user=ada") for _ in range(1000)))
        statuses = [status for status, _, _ in answers]
        assert (statuses.count(202), statuses.count(429)) == (40, 960)
        assert {headers["Retry-After"] for status, _, headers in answers if status == 429} == {"30"}
        assert len({body["video_id"] for status, body, _ in answers if status == 202}) == 40
        video = next(body["video_id"] for status, body, _ in answers if status == 202)
        await life.move(video, State.READY, State.WORKING, State.PUBLISHING, State.PUBLISHED)
        await life.begin()
        assert (await life.get("/video?user=ada"))[0] == 429


@pytest.mark.parametrize("life", [{"max_waiting": 1}], indirect=True)
async def test_what_was_under_way_before_a_restart_still_counts(life):
    async with life.running():
        await life.begin()
    async with life.running():
        assert (await life.get("/video?user=ada"))[0] == 429


FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "videos.example.org",
    "X-Forwarded-For": "::1, 192.0.2.7",
}


@pytest.mark.parametrize(
    ("life", "begins"),
    [
        ({}, "http://localhost:5000/"),
        ({"trust_forwarded": True}, "https://videos.example.org/"),
        ({"public_url": "https://v.example.org/timeline/"}, "https://v.example.org/timeline/"),
    ],
    indirect=["life"],
)
async def test_addresses_are_made_of_the_settings_or_of_the_call(life, begins):
    async with life.running():
        headers = {"Host": "localhost:5000", **FORWARDED}
        _, body, _ = await life.get("/video?user=ada", headers=headers)
        assert body["display_url"] == f"{begins}display/{body['video_id']}"


@pytest.mark.parametrize(("life", "address"), [({"trust_forwarded": True, "rate": 1}, "192.0.2.8")], indirect=["life"])
async def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_added(life, address):
    async with life.running():
        assert (await life.get("/video?user=ada", headers=FORWARDED))[0] == 202
        assert (await life.get("/video?user=ada", headers=FORWARDED))[0] == 429
        other = {**FORWARDED, "X-Forwarded-For": f"192.0.2.7, {address}"}
        assert (await life.get("/video?user=ada", headers=other))[0] == 202


async def test_a_host_that_is_none_is_sent_away(life):
    async with life.running():
        status, body, _ = await life.get("/video?user=ada", headers={"Host": 'a"><script>'})
        assert (status, body["detail"][:5]) == (400, "Host:")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"accounts": {"telegraph": "birds"}}, "there is no network 'telegraph'"),
        ({"accounts": {}}, "at least 1 item"),
        ({"network": "mastodon"}, "has no account"),
        ({"count": 200}, "more than max_count"),
        ({"public_url": "videos.example.org"}, "pattern"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        Options.model_validate({"pipeline": "timelines", "accounts": {"x": "birds"}, **changes})
