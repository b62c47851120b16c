from google.api_core import exceptions
from google.protobuf import duration_pb2
from google.pubsub_v1 import SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport
import grpc

from harness import (
    ALREADY_EXISTS,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNIMPLEMENTED,
    case,
    equal,
    refused,
    texts,
)


def seconds(number):
    return duration_pb2.Duration(seconds=number)


@case("topic-create")
def _(c):
    topic = c.topic()
    refused(lambda: c.publisher.create_topic(request={"name": topic}, retry=None), ALREADY_EXISTS)
    equal(c.publisher.get_topic(request={"topic": topic}).name, topic)
    c.publisher.delete_topic(request={"topic": topic})
    refused(lambda: c.publisher.get_topic(request={"topic": topic}, retry=None), NOT_FOUND)
    refused(lambda: c.publisher.delete_topic(request={"topic": topic}, retry=None), NOT_FOUND)
    refused(lambda: c.publish(topic, "x"), NOT_FOUND)


@case("topic-list")
def _(c):
    project = f"projects/{c.project}-list"
    names = [f"{project}/topics/{i}" for i in ("aaa", "bbb", "ccc", "ddd", "eee")]
    for name in names:
        c.publisher.create_topic(request={"name": name})
    pages = list(c.publisher.list_topics(request={"project": project, "page_size": 2}).pages)
    assert all(len(page.topics) <= 2 for page in pages)
    equal(sorted(t.name for page in pages for t in page.topics), names)


@case("topic-names")
def _(c):
    for identifier in ("ab", "goog-x", "1abc", "a b c", "abc!", "x" * 256):
        name = c.name("topics", identifier)
        refused(lambda: c.publisher.create_topic(request={"name": name}, retry=None), INVALID_ARGUMENT)
    for identifier in ("abc", "A.-_~+%b", "y" * 255):
        c.publisher.create_topic(request={"name": c.name("topics", identifier)})


@case("topic-labels")
def _(c):
    name = c.topic(labels={"team": "audio", "stage": "one"})
    topic = {"name": name, "labels": {"team": "video"}}
    c.publisher.update_topic(request={"topic": topic, "update_mask": {"paths": ["labels"]}}, retry=None)
    equal(dict(c.publisher.get_topic(request={"topic": name}).labels), {"team": "video"})


@case("topic-update-refused")
def _(c):
    topic = {"name": c.topic(), "message_retention_duration": seconds(3600)}

    def update(*paths):
        request = {"topic": topic, "update_mask": {"paths": list(paths)}}
        return c.publisher.update_topic(request=request, retry=None)

    refused(update, INVALID_ARGUMENT)
    refused(lambda: update("colour"), INVALID_ARGUMENT)
    refused(lambda: update("name"), INVALID_ARGUMENT)
    equal(update("message_retention_duration").message_retention_duration.seconds, 3600)


@case("topic-subscriptions")
def _(c):
    topic, subscription = c.pair()
    other = c.subscription(topic)
    equal(sorted(c.publisher.list_topic_subscriptions(request={"topic": topic})), sorted([subscription, other]))


@case("topic-deleted")
def _(c):
    topic, subscription = c.pair()
    c.publish(topic, "kept")
    c.publisher.delete_topic(request={"topic": topic})
    equal(c.subscriber.get_subscription(request={"subscription": subscription}).topic, "_deleted-topic_")
    equal(texts(c.pull(subscription, 1)), ["kept"])
    c.publisher.create_topic(request={"name": topic})
    c.publish(topic, "of another topic")
    equal(c.pull(subscription, 1, 1.5), [])


@case("labels-refused")
def _(c):
    for labels in ({"Upper": "x"}, {"1digit": "x"}, {"key": "Upper"}, {"key": "v" * 64}):
        refused(lambda: c.topic(labels=labels), INVALID_ARGUMENT)


@case("subscription-create")
def _(c):
    topic, subscription = c.pair(ack_deadline_seconds=0, labels={"of": "test"})
    found = c.subscriber.get_subscription(request={"subscription": subscription})
    equal((found.topic, found.ack_deadline_seconds, dict(found.labels)), (topic, 10, {"of": "test"}))
    equal(found.message_retention_duration.total_seconds(), 7 * 86_400)
    request = {"name": subscription, "topic": topic}
    refused(lambda: c.subscriber.create_subscription(request=request, retry=None), ALREADY_EXISTS)
    refused(lambda: c.subscription(c.name("topics")), NOT_FOUND)
    one = {"subscription": subscription}
    c.subscriber.delete_subscription(request=one)
    refused(lambda: c.subscriber.get_subscription(request=one, retry=None), NOT_FOUND)
    refused(lambda: c.subscriber.delete_subscription(request=one, retry=None), NOT_FOUND)


@case("subscription-list")
def _(c):
    project = f"projects/{c.project}-subs"
    topic = c.topic()
    names = [f"{project}/subscriptions/{i}" for i in ("aaa", "bbb", "ccc")]
    for name in names:
        c.subscriber.create_subscription(request={"name": name, "topic": topic})
    pages = list(c.subscriber.list_subscriptions(request={"project": project, "page_size": 2}).pages)
    equal([len(page.subscriptions) for page in pages], [2, 1])
    equal(sorted(s.name for page in pages for s in page.subscriptions), names)


@case("subscription-update")
def _(c):
    _, name = c.pair()
    subscription = {
        "name": name,
        "ack_deadline_seconds": 77,
        "retain_acked_messages": True,
        "enable_exactly_once_delivery": True,
    }

    def update(*paths):
        request = {"subscription": subscription, "update_mask": {"paths": list(paths)}}
        return c.subscriber.update_subscription(request=request, retry=None)

    updated = update("ack_deadline_seconds", "retain_acked_messages")
    equal((updated.ack_deadline_seconds, updated.retain_acked_messages), (77, True))
    equal(c.subscriber.get_subscription(request={"subscription": name}).enable_exactly_once_delivery, False)
    refused(update, INVALID_ARGUMENT)


@case("subscription-immutable")
def _(c):
    topic, name = c.pair()
    subscription = {"name": name, "topic": topic, "enable_message_ordering": True, "filter": "attributes:x"}
    for path in ("topic", "enable_message_ordering", "filter", "name"):
        request = {"subscription": subscription, "update_mask": {"paths": [path]}}
        refused(lambda: c.subscriber.update_subscription(request=request, retry=None), INVALID_ARGUMENT)


@case("subscription-ranges")
def _(c):
    topic = c.topic()
    for deadline in (5, 601, -1):
        refused(lambda: c.subscription(topic, ack_deadline_seconds=deadline), INVALID_ARGUMENT)
    for number in (300, 32 * 86_400):
        refused(lambda: c.subscription(topic, message_retention_duration=seconds(number)), INVALID_ARGUMENT)


@case("expiration-policy")
def _(c):
    topic, subscription = c.pair()
    found = c.subscriber.get_subscription(request={"subscription": subscription})
    equal(found.expiration_policy.ttl.total_seconds(), 31 * 86_400)
    refused(lambda: c.subscription(topic, expiration_policy={"ttl": seconds(3600)}), INVALID_ARGUMENT)
    never = c.subscription(topic, expiration_policy={})
    policy = c.subscriber.get_subscription(request={"subscription": never}).expiration_policy
    assert not policy._pb.HasField("ttl")


@case("unsupported")
def _(c):
    refused(lambda: c.topic(kms_key_name="key"), UNIMPLEMENTED)
    refused(lambda: c.topic(schema_settings={"schema": "projects/x/schemas/y"}), UNIMPLEMENTED)
    topic = c.topic()
    refused(lambda: c.subscription(topic, bigquery_config={"table": "p.d.t"}), UNIMPLEMENTED)
    refused(lambda: c.subscription(topic, cloud_storage_config={"bucket": "b"}), UNIMPLEMENTED)
    push = {"push_endpoint": "https://example.com/"}
    refused(lambda: c.subscription(topic, push_config=push), UNIMPLEMENTED)
    refused(lambda: c.publisher.get_iam_policy(request={"resource": topic}, retry=None), UNIMPLEMENTED)
    transport = SchemaServiceGrpcTransport(channel=grpc.insecure_channel(c.address))
    schemas = SchemaServiceClient(transport=transport)
    try:
        list(schemas.list_schemas(request={"parent": f"projects/{c.project}"}, retry=None))
        raise AssertionError("accepted")
    except exceptions.MethodNotImplemented as error:
        assert "SchemaService/ListSchemas" in error.message, error.message
