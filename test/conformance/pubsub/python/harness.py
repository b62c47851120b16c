"""What the cases need: an emulator's official clients, names of their own, and a way to say what was refused."""

import http.server
import threading
import time
import uuid

import grpc
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient, types

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
ALREADY_EXISTS = grpc.StatusCode.ALREADY_EXISTS
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

CASES = {}


def case(name):
    """Registers a function as the case of a capability."""

    def register(function):
        assert name not in CASES, name
        CASES[name] = function
        return function

    return register


class Context:
    def __init__(self, address):
        self.address = address
        self.project = f"python-{uuid.uuid4().hex[:8]}"
        self.publisher = pubsub_v1.PublisherClient()
        self.subscriber = pubsub_v1.SubscriberClient()

    def name(self, collection, identifier=None):
        return f"projects/{self.project}/{collection}/{identifier or 'c-' + uuid.uuid4().hex}"

    def topic(self, **fields):
        name = self.name("topics")
        self.publisher.create_topic(request={"name": name, **fields}, retry=None, timeout=20)
        return name

    def subscription(self, topic, **fields):
        name = self.name("subscriptions")
        request = {"ack_deadline_seconds": 10, **fields, "name": name, "topic": topic}
        self.subscriber.create_subscription(request=request, retry=None, timeout=20)
        return name

    def pair(self, **fields):
        topic = self.topic()
        return topic, self.subscription(topic, **fields)

    def publish(self, topic, *messages):
        """Publishes in one request; text is a message with that data. Returns the ids."""
        encoded = [
            types.PubsubMessage(**({"data": m.encode()} if isinstance(m, str) else m)) for m in messages
        ]
        # The client's own publish() batches; the call below is the API's.
        request = {"topic": topic, "messages": encoded}
        response = PublisherClient.publish(self.publisher, request=request, retry=None, timeout=30)
        return list(response.message_ids)

    def pull_once(self, subscription, maximum, timeout):
        try:
            request = {"subscription": subscription, "max_messages": maximum}
            response = self.subscriber.pull(request=request, retry=None, timeout=max(timeout, 1.2))
            return list(response.received_messages)
        except exceptions.DeadlineExceeded:
            return []

    def pull(self, subscription, count, timeout=8):
        """Pulls until there are `count` messages, or `timeout` seconds have passed."""
        received = []
        end = time.monotonic() + timeout
        while len(received) < count and time.monotonic() < end:
            received += self.pull_once(subscription, count - len(received), end - time.monotonic())
        return received

    def ack(self, subscription, received):
        if received:
            ids = [r.ack_id for r in received]
            self.subscriber.acknowledge(request={"subscription": subscription, "ack_ids": ids}, retry=None)

    def nack(self, subscription, received):
        self.modify(subscription, received, 0)

    def modify(self, subscription, received, seconds):
        request = {
            "subscription": subscription,
            "ack_ids": [r.ack_id for r in received],
            "ack_deadline_seconds": seconds,
        }
        self.subscriber.modify_ack_deadline(request=request, retry=None)

    def consume(self, subscription, count, timeout=8):
        received = self.pull(subscription, count, timeout)
        self.ack(subscription, received)
        return sorted(texts(received))

    def stream(self, **first):
        return Stream(self, first)


class Stream:
    """A streaming pull whose requests are written by hand."""

    def __init__(self, context, first):
        self.responses = []
        self.code = None
        self.ended = threading.Event()
        self._requests = [types.StreamingPullRequest(**first)]
        self._more = threading.Condition()
        self._closed = False
        self._call = context.subscriber.streaming_pull(requests=self._next(), retry=None)
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def received(self):
        return [m for r in self.responses for m in r.received_messages]

    def write(self, **request):
        with self._more:
            self._requests.append(types.StreamingPullRequest(**request))
            self._more.notify()

    def cancel(self):
        with self._more:
            self._closed = True
            self._more.notify()
        self._call.cancel()

    def _next(self):
        while True:
            with self._more:
                while not self._requests and not self._closed:
                    self._more.wait()
                if self._closed:
                    return
                request = self._requests.pop(0)
            yield request

    def _read(self):
        try:
            for response in self._call:
                self.responses.append(response)
        except exceptions.GoogleAPICallError as error:
            self.code = error.grpc_status_code
        except grpc.RpcError as error:
            self.code = error.code()
        self.ended.set()


class Endpoint:
    """An endpoint on this machine that answers pushes with these statuses, the last one for good."""

    def __init__(self, *statuses):
        self.pushed = []
        pushed = self.pushed

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                status = statuses[min(len(pushed), len(statuses) - 1)]
                pushed.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/push"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()


def texts(received):
    return [r.message.data.decode() for r in received]


def refused(call, *expected):
    try:
        call()
    except exceptions.GoogleAPICallError as error:
        assert error.grpc_status_code in expected, f"{error.grpc_status_code} is none of {expected}: {error}"
        return error
    raise AssertionError(f"accepted, and not refused with {expected}")


def until(condition, what, timeout=10):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def equal(seen, expected):
    assert seen == expected, f"{seen!r} is not {expected!r}"
