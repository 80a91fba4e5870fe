import json

import pytest

from vidd.integrations.aws.s3_event import read_message

PUT = {
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:Put",
    "eventTime": "2026-11-03T09:00:00.000Z",
    "s3": {
        "bucket": {"name": "recordings"},
        "object": {
            "key": "day+1/a%2Bb+%C3%BC.mp4",
            "size": 5,
            "eTag": "9b2cf535f27731c974343645a3985328",
            "sequencer": "0055AED6DCD90281E5",
        },
    },
}
EVENTBRIDGE = {
    "version": "0",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "time": "2026-11-03T09:00:01Z",
    "detail": {
        "bucket": {"name": "recordings"},
        "object": {
            "key": "day 1/a+b ü.mp4",
            "size": 5,
            "etag": "9b2cf535f27731c974343645a3985328",
            "sequencer": "0055AED6DCD90281E5",
        },
        "reason": "PutObject",
    },
}


def of_object(**changes):
    thing = {**PUT["s3"]["object"], **changes}
    return {**PUT, "s3": {**PUT["s3"], "object": {k: v for k, v in thing.items() if v is not None}}}


def only_event(data):
    reading = read_message(data if isinstance(data, str) else json.dumps(data))
    assert reading.faults == ()
    (event,) = reading.events
    return event


def wrapped_by_sns(data):
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": json.dumps(data)}


def test_a_put_is_read_with_its_key_decoded():
    event = only_event({"Records": [PUT]})
    assert (event.name, event.bucket, event.key, event.size) == (
        "ObjectCreated:Put",
        "recordings",
        "day 1/a+b ü.mp4",
        5,
    )


@pytest.mark.parametrize(
    "shape",
    [
        wrapped_by_sns({"Records": [PUT]}),
        json.dumps({"Records": [PUT]}),
        json.dumps(wrapped_by_sns({"Records": [PUT]})),
        EVENTBRIDGE,
        wrapped_by_sns(EVENTBRIDGE),
        {"Records": [{**PUT, "eventName": "s3:ObjectCreated:Put"}]},
    ],
    ids=["sns", "a string of json", "sns, encoded once more", "eventbridge", "eventbridge by sns", "a name with s3:"],
)
def test_every_way_of_telling_one_upload_gives_the_same_event(shape):
    plain, event = only_event({"Records": [PUT]}), only_event(json.dumps(shape))
    assert (event.name, event.bucket, event.key, event.identity) == (
        plain.name,
        plain.bucket,
        plain.key,
        plain.identity,
    )


def test_a_key_that_was_not_encoded_is_taken_as_it_is():
    assert only_event({"Records": [of_object(key="day 1/a+b%20ü.mp4")]}).key == "day 1/a+b%20ü.mp4"


def test_a_test_event_holds_nothing_and_is_no_fault():
    reading = read_message(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "recordings"}))
    assert (reading.events, reading.faults) == ((), ())


def test_several_records_are_all_read():
    reading = read_message(json.dumps({"Records": [of_object(key="a.mp4"), of_object(key="b.mp4")]}))
    assert [event.key for event in reading.events] == ["a.mp4", "b.mp4"]


def test_a_record_that_is_none_does_not_hide_the_others():
    reading = read_message(json.dumps({"Records": [{"x": 1}, of_object(key="b.mp4")]}))
    assert [event.key for event in reading.events] == ["b.mp4"]
    assert reading.faults == ("record 1: it has no eventName, so it is no S3 event",)


def test_a_version_alone_identifies_a_state_of_an_object():
    first = only_event({"Records": [of_object(versionId="v1", sequencer="1")]})
    again = only_event({"Records": [of_object(versionId="v1", sequencer="2")]})
    other = only_event({"Records": [of_object(versionId="v2", sequencer="1")]})
    assert first.identity == again.identity != other.identity


def test_the_version_null_tells_nothing_apart():
    first = only_event({"Records": [of_object(versionId="null", sequencer="1")]})
    second = only_event({"Records": [of_object(versionId="null", sequencer="2")]})
    assert first.version is None
    assert first.identity != second.identity


def test_the_same_bytes_put_twice_are_two_arrivals():
    first = only_event({"Records": [of_object(sequencer="1")]})
    second = only_event({"Records": [of_object(sequencer="2")]})
    assert first.identity != second.identity


def test_one_upload_told_as_put_and_as_multipart_without_sequencer_is_one_arrival():
    thin = of_object(sequencer=None)
    put, done = (
        only_event({"Records": [{**thin, "eventName": f"ObjectCreated:{how}"}]})
        for how in ("Put", "CompleteMultipartUpload")
    )
    assert put.identity == done.identity


def test_an_identity_is_one_line_of_ascii_whatever_the_key():
    event = only_event({"Records": [of_object(key="a%0Ab%3Fversion%3D1%23%F0%9F%8E%AC.mp4")]})
    assert event.key == "a\nb?version=1#🎬.mp4"
    assert event.identity.isascii()
    assert event.identity.isprintable()
    assert event.identity.count("?") == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("[1, 2]", "no S3 event"),
        ("null", "no S3 event"),
        ('{"a": 1}', "neither Records nor detail-type"),
        ('{"Records": 5}', "no list"),
        ('{"Records": [5]}', "no eventName"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps({"detail-type": "EC2 Instance State-change Notification", "detail": {}}), "nothing that happened"),
        (json.dumps({"Records": [of_object(key="%FF%FE.mp4")]}), "not UTF-8"),
        (json.dumps({"Records": [of_object(key="\ud800.mp4")]}), "not UTF-8"),
        (json.dumps({"Records": [of_object(key=7)]}), "no key"),
        (json.dumps({"Records": [{**PUT, "s3": "gone"}]}), "no s3"),
    ],
)
def test_what_is_no_s3_event_has_a_fault_that_says_why(body, why):
    reading = read_message(body)
    assert reading.events == ()
    assert why in reading.faults[0]


def test_wrapping_without_end_is_a_fault():
    data = {"Records": [PUT]}
    for _ in range(8):
        data = wrapped_by_sns(data)
    assert "wrapped more often" in read_message(json.dumps(data)).faults[0]


@pytest.mark.parametrize("size", [True, -1, "5", 2**70, 1.5])
def test_a_size_that_is_none_is_left_out(size):
    assert only_event({"Records": [of_object(size=size)]}).size is None
