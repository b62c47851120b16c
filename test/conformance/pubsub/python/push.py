import base64
import json
import time

from harness import FAILED_PRECONDITION, Endpoint, case, equal, refused, texts, until


@case("push")
def _(c):
    target = Endpoint(200)
    topic, subscription = c.pair(push_config={"push_endpoint": target.url})
    [published] = c.publish(topic, {"data": b"hello", "attributes": {"of": "test"}})
    until(lambda: target.pushed, "a push")
    headers, body = target.pushed[0]
    assert headers["content-type"].startswith("application/json"), headers
    pushed = json.loads(body)
    equal(pushed["subscription"], subscription)
    message = pushed["message"]
    equal(base64.b64decode(message["data"]), b"hello")
    equal(message["attributes"], {"of": "test"})
    equal((message["messageId"], message["message_id"]), (published, published))
    time.sleep(12)
    equal(len(target.pushed), 1)
    target.close()


@case("push-unwrapped")
def _(c):
    target = Endpoint(204)
    push = {"push_endpoint": target.url, "no_wrapper": {"write_metadata": True}}
    topic, subscription = c.pair(push_config=push)
    [published] = c.publish(topic, {"data": b"raw bytes", "attributes": {"of": "test"}})
    until(lambda: target.pushed, "a push")
    headers, body = target.pushed[0]
    equal(body, b"raw bytes")
    equal(headers["of"], "test")
    equal(headers["x-goog-pubsub-message-id"], published)
    equal(headers["x-goog-pubsub-subscription-name"], subscription)
    target.close()


@case("push-again")
def _(c):
    target = Endpoint(500, 301, 200)
    topic, _ = c.pair(push_config={"push_endpoint": target.url})
    c.publish(topic, "again")
    until(lambda: len(target.pushed) == 3, "three pushes")
    time.sleep(3)
    equal(len(target.pushed), 3)
    target.close()


@case("push-accepted")
def _(c):
    target = Endpoint(202)
    topic, _ = c.pair(push_config={"push_endpoint": target.url})
    c.publish(topic, "once")
    until(lambda: target.pushed, "a push")
    time.sleep(3)
    equal(len(target.pushed), 1)
    target.close()


@case("push-config")
def _(c):
    target = Endpoint(200)
    topic, subscription = c.pair()

    def configure(config):
        request = {"subscription": subscription, "push_config": config}
        c.subscriber.modify_push_config(request=request, retry=None)

    c.publish(topic, "queued")
    configure({"push_endpoint": target.url})
    until(lambda: len(target.pushed) == 1, "the backlog to be pushed")
    configure({})
    c.publish(topic, "pulled")
    equal(texts(c.pull(subscription, 1)), ["pulled"])
    equal(len(target.pushed), 1)
    configure({"push_endpoint": target.url})
    refused(lambda: c.pull_once(subscription, 1, 3), FAILED_PRECONDITION)
    target.close()
