"""What the cases need: the official client, buckets of their own, and HTTP where the client has no word for a call."""

import base64
import hashlib
import http.client
import json
import uuid
from urllib.parse import quote, urlsplit

import google_crc32c
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

KIB = 1024
MIB = 1024 * KIB
PROJECT = "conformance-project"

DEFAULT_RETRY._timeout = 10  # seconds; two minutes of 500 tell no more

CASES = {}


def case(name):
    """Registers a function as the case of a capability."""

    def register(function):
        assert name not in CASES, name
        CASES[name] = function
        return function

    return register


class Answer:
    """An answer as it came: nothing is followed, unpacked or tried again."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Context:
    def __init__(self, url):
        self.url = url
        self.address = urlsplit(url).netloc
        self.client = storage.Client(project=PROJECT, credentials=AnonymousCredentials())

    def bucket(self, **settings):
        """A new bucket. The settings are the API's, such as versioning={"enabled": True}."""
        name = f"b-{uuid.uuid4()}"
        if settings:
            answer = self.api("POST", f"b?project={PROJECT}", {"name": name, **settings})
            equal(answer.status, 200)
        else:
            self.client.create_bucket(name)
        return self.client.bucket(name)

    def request(self, method, target, body=b"", headers=None):
        """Sends a request with these headers and no others. `target` is a path, or an address that an answer gave."""
        parts = urlsplit(target)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        sent = {"Host": parts.netloc or self.address, **(headers or {})}
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if body or method in ("POST", "PUT", "PATCH"):
                sent.setdefault("Content-Length", str(len(body)))
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def api(self, method, path, resource=None):
        """A request with a JSON resource, below /storage/v1."""
        if resource is None:
            return self.request(method, f"/storage/v1/{path}")
        return self.request(
            method, f"/storage/v1/{path}", json.dumps(resource).encode(), {"Content-Type": "application/json"}
        )

    def upload(self, bucket, name, body, headers=None, **query):
        """An upload of bytes alone."""
        more = "".join(f"&{key}={value}" for key, value in query.items())
        path = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name={part(name)}{more}"
        return self.request("POST", path, body, headers)

    def begin(self, bucket, name, **options):
        """Opens a resumable upload. Returns where it goes on."""
        return bucket.blob(name).create_resumable_upload_session(**options)

    def put(self, location, content_range, body=b""):
        """One request of a resumable upload."""
        return self.request("PUT", location, body, {"Content-Range": content_range})

    def media(self, bucket, name, headers=None):
        path = f"/download/storage/v1/b/{bucket.name}/o/{part(name)}?alt=media"
        return self.request("GET", path, headers=headers)


def part(name):
    """A name as a segment of a path."""
    return quote(name, safe="")


def save(bucket, name, data=None):
    """Stores a small object, of its own name unless said. Returns the blob, which knows its generation."""
    blob = bucket.blob(name)
    blob.upload_from_string(name if data is None else data, retry=None)
    return blob


def text(bucket, name, generation=None):
    return bucket.blob(name, generation=generation).download_as_bytes().decode()


def names(bucket, **options):
    return [blob.name for blob in bucket.list_blobs(**options)]


def md5_of(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def crc32c_of(data):
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


def refused(expected, call, *arguments, **options):
    """The call, which is not tried again, fails with this HTTP status, or with one of these."""
    try:
        call(*arguments, retry=None, **options)
    except exceptions.GoogleAPICallError as error:
        wanted = expected if isinstance(expected, tuple) else (expected,)
        assert error.code in wanted, f"{error.code} is not {expected}: {error}"
        return error
    raise AssertionError(f"accepted, and not refused with {expected}")


def equal(seen, expected):
    assert seen == expected, f"{seen!r} is not {expected!r}"
