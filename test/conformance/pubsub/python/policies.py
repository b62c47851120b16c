import time

from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.exceptions import AcknowledgeError, AcknowledgeStatus
from google.protobuf import duration_pb2

from harness import INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE, case, equal, refused, texts, until


def short(name):
    return name.split("/")[-1]


@case("ordering")
def _(c):
    topic, subscription = c.pair(enable_message_ordering=True)
    keys = ("red", "green")
    for i in range(20):
        for k in keys:
            c.publish(topic, {"data": f"{k}-{i}".encode(), "ordering_key": k})
    seen = []

    def take(message):
        seen.append(message.data.decode())
        message.ack()

    with pubsub_v1.SubscriberClient() as client:
        future = client.subscribe(subscription, take)
        until(lambda: len(seen) == 40, "all messages", 20)
        future.cancel()
        future.result(timeout=10)
    for key in keys:
        equal([s for s in seen if s.startswith(key)], [f"{key}-{i}" for i in range(20)])
    topic, subscription = c.pair(enable_message_ordering=True)
    for i in range(5):
        c.publish(topic, {"data": str(i).encode(), "ordering_key": "blue"})
    batch = c.pull_once(subscription, 10, 5)
    assert len(batch) > 1
    equal(texts(batch), ["0", "1", "2", "3", "4"][: len(batch)])
    equal(c.pull(subscription, 1, 2), [])  # the key is with somebody


@case("ordering-one-key")
def _(c):
    topic = c.topic()
    red, green = ({"data": b"x", "ordering_key": key} for key in ("red", "green"))
    equal(len(c.publish(topic, red, red)), 2)
    refused(lambda: c.publish(topic, red, green), INVALID_ARGUMENT)
    refused(lambda: c.publish(topic, red, "no key"), INVALID_ARGUMENT)


@case("ordering-redelivery")
def _(c):
    topic, subscription = c.pair(enable_message_ordering=True, ack_deadline_seconds=60)
    for i in range(4):
        c.publish(topic, {"data": str(i).encode(), "ordering_key": "key"})
    first = c.pull(subscription, 4)
    equal(texts(first), ["0", "1", "2", "3"])
    c.ack(subscription, [first[0], first[2]])
    c.nack(subscription, first[1:2])
    equal(texts(c.pull(subscription, 3, 15)), ["1", "2", "3"])


@case("dead-letter")
def _(c):
    dead, letters = c.pair()
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    topic, subscription = c.pair(dead_letter_policy=policy)
    [published] = c.publish(topic, {"data": b"poison", "attributes": {"own": "kept"}})
    for attempt in range(1, 6):
        received = c.pull(subscription, 1)
        equal([r.delivery_attempt for r in received], [attempt])
        c.nack(subscription, received)
    equal(c.pull(subscription, 1, 2), [])
    [letter] = c.pull(letters, 1)
    equal(letter.message.data, b"poison")
    assert letter.message.message_id != published
    attributes = dict(letter.message.attributes)
    assert attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime").endswith("Z")
    expected = {
        "own": "kept",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": short(subscription),
        "CloudPubSubDeadLetterSourceSubscriptionProject": c.project,
    }
    equal(attributes, expected)


@case("dead-letter-refused")
def _(c):
    topic = c.topic()
    for attempts in (4, 101):
        policy = {"dead_letter_topic": topic, "max_delivery_attempts": attempts}
        refused(lambda: c.subscription(topic, dead_letter_policy=policy), INVALID_ARGUMENT, OUT_OF_RANGE)
    missing = {"dead_letter_topic": c.name("topics"), "max_delivery_attempts": 5}
    refused(lambda: c.subscription(topic, dead_letter_policy=missing), NOT_FOUND)
    subscription = c.subscription(topic, dead_letter_policy={"dead_letter_topic": topic})
    found = c.subscriber.get_subscription(request={"subscription": subscription})
    equal(found.dead_letter_policy.max_delivery_attempts, 5)


@case("retry-policy")
def _(c):
    back_off = {
        "minimum_backoff": duration_pb2.Duration(seconds=3),
        "maximum_backoff": duration_pb2.Duration(seconds=4),
    }
    topic, subscription = c.pair(retry_policy=back_off)
    c.publish(topic, "again")
    before = None
    for _ in range(3):
        received = c.pull(subscription, 1)
        equal(texts(received), ["again"])
        assert before is None or time.monotonic() - before > 2.8
        before = time.monotonic()
        c.nack(subscription, received)


@case("filter")
def _(c):
    topic = c.topic()
    filters = {
        "attributes:kind": ["a", "b", "quoted"],
        'attributes.kind = "audio"': ["a"],
        'attributes.kind != "audio"': ["b", "plain", "quoted"],
        'hasPrefix(attributes.kind, "vi")': ["b"],
        'attributes:kind AND NOT attributes.kind = "video"': ["a", "quoted"],
        '(attributes.kind = "audio" OR attributes.kind = "video") AND -attributes:hidden': ["a"],
        'attributes."iana.org/language" = "e\\"n"': ["quoted"],
    }
    subscriptions = [(c.subscription(topic, filter=text), expected) for text, expected in filters.items()]
    c.publish(
        topic,
        {"data": b"a", "attributes": {"kind": "audio"}},
        {"data": b"b", "attributes": {"kind": "video", "hidden": "yes"}},
        {"data": b"quoted", "attributes": {"kind": "text", "iana.org/language": 'e"n'}},
        "plain",
    )
    for subscription, expected in subscriptions:
        equal(sorted(texts(c.pull(subscription, 4, 1.5))), expected)


@case("filter-refused")
def _(c):
    topic = c.topic()
    malformed = (
        "attributes",
        "attributes.kind",
        'attributes.kind == "x"',
        'attributes.kind = "x" AND',
        'attributes.a = "x" AND attributes.b = "y" OR attributes.c = "z"',
        'data = "x"',
        'attributes.kind = "x',
        "(attributes:kind",
        f'attributes.kind = "{"x" * 240}"',
    )
    for text in malformed:
        refused(lambda: c.subscription(topic, filter=text), INVALID_ARGUMENT)


@case("exactly-once")
def _(c):
    topic, subscription = c.pair(enable_exactly_once_delivery=True)
    c.publish(topic, "a")
    first = c.pull(subscription, 1)
    c.nack(subscription, first)
    second = c.pull(subscription, 1)
    error = refused(lambda: c.ack(subscription, first), INVALID_ARGUMENT)
    equal(error.reason, "EXACTLY_ONCE_ACKID_FAILURE")
    equal(dict(error.metadata), {first[0].ack_id: "PERMANENT_FAILURE_INVALID_ACK_ID"})
    c.ack(subscription, second)
    outcomes = []

    def take(message):
        outcomes.append(message.ack_with_response().result(timeout=15))
        try:
            message.ack_with_response().result(timeout=15)
        except AcknowledgeError as failure:
            outcomes.append(failure.error_code)

    with pubsub_v1.SubscriberClient() as client:
        future = client.subscribe(subscription, take)
        time.sleep(0.5)
        c.publish(topic, "b")
        until(lambda: len(outcomes) == 2, "two outcomes", 20)
        future.cancel()
        future.result(timeout=10)
    equal(outcomes, [AcknowledgeStatus.SUCCESS, AcknowledgeStatus.INVALID_ACK_ID])


@case("exactly-once-stream")
def _(c):
    topic, subscription = c.pair(enable_exactly_once_delivery=True)
    stream = c.stream(subscription=subscription, stream_ack_deadline_seconds=60)
    c.publish(topic, "a")
    until(lambda: stream.received, "a message")
    assert stream.responses[0].subscription_properties.exactly_once_delivery_enabled
    ack_id = stream.received[0].ack_id
    stream.write(ack_ids=[ack_id])
    until(lambda: any(ack_id in r.acknowledge_confirmation.ack_ids for r in stream.responses), "confirmation", 3)
    stream.write(ack_ids=[ack_id])
    until(
        lambda: any(ack_id in r.acknowledge_confirmation.invalid_ack_ids for r in stream.responses), "refusal", 3
    )
    stream.cancel()
