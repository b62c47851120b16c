import time

import grpc
from google.pubsub_v1 import PublisherClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from harness import INVALID_ARGUMENT, NOT_FOUND, case, equal, refused, texts, until


@case("publish")
def _(c):
    topic, subscription = c.pair()
    data = bytes([0, 1, 2, 255, 254])
    [published] = c.publish(topic, {"data": data, "attributes": {"clé": "Ünïcødé 🎵", "empty": ""}})
    [received] = c.pull(subscription, 1)
    equal(received.message.data, data)
    equal(dict(received.message.attributes), {"clé": "Ünïcødé 🎵", "empty": ""})
    equal(received.message.message_id, published)
    assert abs(received.message.publish_time.timestamp() - time.time()) < 60
    equal(received.delivery_attempt, 0)


@case("publish-count")
def _(c):
    topic = c.topic()
    refused(lambda: c.publish(topic), INVALID_ARGUMENT)
    refused(lambda: c.publish(topic, *["x"] * 1001), INVALID_ARGUMENT)
    refused(lambda: c.publish(topic, "good", {}), INVALID_ARGUMENT)
    equal(len(c.publish(topic, *["x"] * 1000)), 1000)


@case("publish-attributes")
def _(c):
    topic = c.topic()
    wrong = (
        {"attributes": {f"k{i}": "v" for i in range(101)}},
        {"attributes": {"k" * 257: "v"}},
        {"attributes": {"k": "ü" * 513}},
        {"attributes": {"googclient": "v"}},
        {"ordering_key": "k" * 1025},
    )
    for fields in wrong:
        refused(lambda: c.publish(topic, {"data": b"x", **fields}), INVALID_ARGUMENT)
    most = {str(i).ljust(256, "k"): "v" * 1024 for i in range(100)}
    equal(len(c.publish(topic, {"data": b"x", "attributes": most, "ordering_key": "k" * 1024})), 1)


@case("publish-size")
def _(c):
    topic = c.topic()
    refused(lambda: c.publish(topic, {"data": bytes(10_000_001)}), INVALID_ARGUMENT)
    # The client's own limit keeps it from pulling one: 4 MB a response.
    equal(len(c.publish(topic, {"data": bytes(9_900_000)})), 1)


@case("publish-compressed")
def _(c):
    topic, subscription = c.pair()
    channel = grpc.insecure_channel(c.address, compression=grpc.Compression.Gzip)
    publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    request = {"topic": topic, "messages": [types.PubsubMessage(data=b"a" * 100_000)]}
    publisher.publish(request=request, retry=None)
    [received] = c.pull(subscription, 1)
    equal(len(received.message.data), 100_000)


@case("fan-out")
def _(c):
    topic, subscription = c.pair()
    other = c.subscription(topic)
    c.publish(topic, "a", "b", "c")
    equal(sorted(texts(c.pull(subscription, 3))), ["a", "b", "c"])
    equal(sorted(texts(c.pull(other, 3))), ["a", "b", "c"])


@case("pull")
def _(c):
    topic, subscription = c.pair()
    c.publish(topic, "a", "b", "c", "d", "e")
    equal(len(c.pull_once(subscription, 2, 5)), 2)
    equal(len(c.pull(subscription, 3)), 3)
    started = time.monotonic()
    request = {"subscription": subscription, "max_messages": 5, "return_immediately": True}
    equal(len(c.subscriber.pull(request=request, retry=None).received_messages), 0)
    assert time.monotonic() - started < 5


@case("pull-refused")
def _(c):
    _, subscription = c.pair()
    refused(lambda: c.pull_once(subscription, 0, 5), INVALID_ARGUMENT)
    refused(lambda: c.pull_once(c.name("subscriptions"), 1, 5), NOT_FOUND)


@case("acknowledge")
def _(c):
    topic, subscription = c.pair()
    c.publish(topic, "a", "b", "c")
    received = c.pull(subscription, 3)
    c.ack(subscription, received[:2])
    c.ack(subscription, received[:1])  # once more does no harm
    equal(texts(c.pull(subscription, 3, 13)), texts(received[2:]))


@case("acknowledge-refused")
def _(c):
    _, subscription = c.pair()

    def acknowledge(*ids):
        request = {"subscription": subscription, "ack_ids": list(ids)}
        c.subscriber.acknowledge(request=request, retry=None)

    refused(acknowledge, INVALID_ARGUMENT)
    refused(lambda: acknowledge("garbage"), INVALID_ARGUMENT)


@case("deadline")
def _(c):
    topic, subscription = c.pair()
    [published] = c.publish(topic, "late")
    equal(len(c.pull(subscription, 1)), 1)
    equal(c.pull(subscription, 1, 7), [])
    [again] = c.pull(subscription, 1, 8)
    equal(again.message.message_id, published)


@case("modify-deadline")
def _(c):
    topic, subscription = c.pair()
    c.publish(topic, "slow")
    received = c.pull(subscription, 1)
    for _ in range(3):
        c.modify(subscription, received, 10)
        equal(c.pull(subscription, 1, 5), [])
    c.nack(subscription, received)
    equal(texts(c.pull(subscription, 1)), ["slow"])


@case("modify-deadline-refused")
def _(c):
    topic, subscription = c.pair()
    c.publish(topic, "x")
    received = c.pull(subscription, 1)
    for number in (-1, 601):
        refused(lambda: c.modify(subscription, received, number), INVALID_ARGUMENT)


@case("streaming-pull")
def _(c):
    topic, subscription = c.pair()
    stream = c.stream(subscription=subscription, stream_ack_deadline_seconds=10)
    c.publish(topic, "a", "b")
    until(lambda: len(stream.received) == 2, "two messages")
    stream.write(ack_ids=[r.ack_id for r in stream.received])
    c.publish(topic, "c")
    until(lambda: len(stream.received) == 3, "a third")
    stream.write(ack_ids=[stream.received[2].ack_id])
    time.sleep(11)
    equal(texts(stream.received), ["a", "b", "c"])
    stream.cancel()


@case("streaming-requests")
def _(c):
    topic, subscription = c.pair()
    firsts = (
        {"stream_ack_deadline_seconds": 10},
        {"subscription": subscription},
        {"subscription": subscription, "stream_ack_deadline_seconds": 5},
        {"subscription": subscription, "stream_ack_deadline_seconds": 601},
    )
    for first in firsts:
        stream = c.stream(**first)
        assert stream.ended.wait(10), first
        equal(stream.code, INVALID_ARGUMENT)
    missing = c.stream(subscription=c.name("subscriptions"), stream_ack_deadline_seconds=10)
    assert missing.ended.wait(10)
    equal(missing.code, NOT_FOUND)
    for wrong in ({"subscription": subscription}, {"modify_deadline_ack_ids": ["x"]}):
        stream = c.stream(subscription=subscription, stream_ack_deadline_seconds=10)
        c.publish(topic, "the stream is open")
        until(lambda: stream.received, "the stream to open")
        c.ack(subscription, stream.received)
        stream.write(**wrong)
        assert stream.ended.wait(10), wrong
        equal(stream.code, INVALID_ARGUMENT)


@case("streaming-deleted")
def _(c):
    topic, subscription = c.pair()
    stream = c.stream(subscription=subscription, stream_ack_deadline_seconds=10)
    c.publish(topic, "the stream is open")
    until(lambda: stream.received, "the stream to open")
    c.subscriber.delete_subscription(request={"subscription": subscription})
    assert stream.ended.wait(10)
    equal(stream.code, NOT_FOUND)


@case("keep-alive")
def _(c):
    _, subscription = c.pair()
    stream = c.stream(subscription=subscription, stream_ack_deadline_seconds=10, protocol_version=1)
    for count in (1, 2):
        stream.write()
        until(lambda: len(stream.responses) >= count, "an answer", 3)
    stream.cancel()


@case("flow-control")
def _(c):
    topic, subscription = c.pair()
    c.publish(topic, *[str(i).ljust(1000, ".") for i in range(40)])
    for bound in ({"max_outstanding_messages": 3}, {"max_outstanding_bytes": 3500}):
        stream = c.stream(subscription=subscription, stream_ack_deadline_seconds=60, **bound)
        taken = 0
        while taken < 9:
            until(lambda: len(stream.received) > taken, "messages")
            time.sleep(0.3)
            batch = stream.received[taken:]
            assert len(batch) <= 3, len(batch)
            taken += len(batch)
            c.ack(subscription, batch)
        stream.cancel()


@case("consumer-gone")
def _(c):
    topic, subscription = c.pair()
    for _ in range(3):
        stream = c.stream(subscription=subscription, stream_ack_deadline_seconds=60)
        c.publish(topic, "the stream is open")
        until(lambda: stream.received, "the stream to open")
        c.ack(subscription, stream.received)
        stream.cancel()
        assert stream.ended.wait(10)
    time.sleep(0.5)
    c.publish(topic, "a", "b", "c", "d", "e", "f")
    equal(sorted(texts(c.pull(subscription, 6))), ["a", "b", "c", "d", "e", "f"])
