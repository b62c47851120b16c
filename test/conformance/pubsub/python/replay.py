import datetime
import re
import time

from google.protobuf import duration_pb2

from harness import ALREADY_EXISTS, FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, case, equal, refused, texts


def now(seconds=0):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def two_times(c, topic):
    """Publishes "old", then "new", and returns a time between them."""
    c.publish(topic, "old")
    time.sleep(0.3)
    between = now()
    time.sleep(0.3)
    c.publish(topic, "new")
    return between


def seek(c, subscription, **target):
    c.subscriber.seek(request={"subscription": subscription, **target}, retry=None)


@case("seek-forward")
def _(c):
    topic, subscription = c.pair()
    seek(c, subscription, time=two_times(c, topic))
    equal(c.consume(subscription, 2), ["new"])
    c.publish(topic, "later")
    equal(c.consume(subscription, 1), ["later"])


@case("seek-back")
def _(c):
    topic, subscription = c.pair(retain_acked_messages=True)
    between = two_times(c, topic)
    equal(c.consume(subscription, 2), ["new", "old"])
    seek(c, subscription, time=between)
    equal(c.consume(subscription, 1), ["new"])
    seek(c, subscription, time=now(-60))
    equal(c.consume(subscription, 2), ["new", "old"])


@case("seek-back-unretained")
def _(c):
    topic, subscription = c.pair()
    c.publish(topic, "a", "b")
    received = c.pull(subscription, 2)
    c.ack(subscription, received[:1])
    seek(c, subscription, time=now(-60))
    equal(texts(c.pull(subscription, 2, 3)), texts(received[1:]))


@case("topic-retention")
def _(c):
    topic = c.topic(message_retention_duration=duration_pb2.Duration(seconds=3600))
    subscription = c.subscription(topic)
    c.publish(topic, "a", "b")
    equal(c.consume(subscription, 2), ["a", "b"])
    late = c.subscription(topic)
    for name in (subscription, late):
        seek(c, name, time=now(-60))
        equal(c.consume(name, 2), ["a", "b"])
    for seconds in (300, 32 * 86_400):
        retention = duration_pb2.Duration(seconds=seconds)
        refused(lambda: c.topic(message_retention_duration=retention), INVALID_ARGUMENT)


@case("snapshot")
def _(c):
    topic, subscription = c.pair()
    other = c.subscription(topic)
    c.publish(topic, "acknowledged before", "pending")
    received = c.pull(subscription, 2)
    pending = [r for r in received if r.message.data == b"pending"]
    c.ack(subscription, [r for r in received if r not in pending])
    name = c.name("snapshots")
    request = {"name": name, "subscription": subscription}
    snapshot = c.subscriber.create_snapshot(request=request, retry=None)
    equal((snapshot.name, snapshot.topic), (name, topic))
    assert snapshot.expire_time > now(6 * 86_400)
    refused(lambda: c.subscriber.create_snapshot(request=request, retry=None), ALREADY_EXISTS)
    c.publish(topic, "after")
    c.nack(subscription, pending)
    equal(c.consume(subscription, 2), ["after", "pending"])
    for seeking in (subscription, other):
        seek(c, seeking, snapshot=name)
        equal(c.consume(seeking, 2), ["after", "pending"])
    equal(c.subscriber.get_snapshot(request={"snapshot": name}).name, name)
    listed = c.subscriber.list_snapshots(request={"project": f"projects/{c.project}"})
    assert name in [s.name for s in listed]
    equal(list(c.publisher.list_topic_snapshots(request={"topic": topic})), [name])
    c.subscriber.delete_snapshot(request={"snapshot": name})
    refused(lambda: c.subscriber.get_snapshot(request={"snapshot": name}, retry=None), NOT_FOUND)


@case("snapshot-labels")
def _(c):
    _, subscription = c.pair()
    unnamed = c.subscriber.create_snapshot(request={"subscription": subscription}, retry=None)
    assert re.match(rf"projects/{c.project}/snapshots/.{{3,}}", unnamed.name), unnamed.name
    name = c.name("snapshots")
    request = {"name": name, "subscription": subscription, "labels": {"of": "one"}}
    equal(dict(c.subscriber.create_snapshot(request=request, retry=None).labels), {"of": "one"})
    change = {"snapshot": {"name": name, "labels": {"of": "two"}}, "update_mask": {"paths": ["labels"]}}
    equal(dict(c.subscriber.update_snapshot(request=change, retry=None).labels), {"of": "two"})


@case("snapshot-refused")
def _(c):
    _, subscription = c.pair()
    _, other = c.pair()
    name = c.name("snapshots")
    c.subscriber.create_snapshot(request={"name": name, "subscription": other}, retry=None)
    refused(lambda: seek(c, subscription, snapshot=name), FAILED_PRECONDITION)
    refused(lambda: seek(c, subscription, snapshot=c.name("snapshots")), NOT_FOUND)
    refused(lambda: seek(c, subscription), INVALID_ARGUMENT)
    request = {"name": c.name("snapshots"), "subscription": c.name("subscriptions")}
    refused(lambda: c.subscriber.create_snapshot(request=request, retry=None), NOT_FOUND)


@case("detach")
def _(c):
    topic, subscription = c.pair()
    c.publish(topic, "dropped")
    c.publisher.detach_subscription(request={"subscription": subscription}, retry=None)
    refused(lambda: c.pull_once(subscription, 1, 3), FAILED_PRECONDITION)
    stream = c.stream(subscription=subscription, stream_ack_deadline_seconds=10)
    assert stream.ended.wait(10)
    equal(stream.code, FAILED_PRECONDITION)
    assert c.subscriber.get_subscription(request={"subscription": subscription}).detached
    equal(list(c.publisher.list_topic_subscriptions(request={"topic": topic})), [])
