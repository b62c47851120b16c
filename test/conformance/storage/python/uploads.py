import io
import json
import socket
from urllib.parse import urlsplit

import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from harness import KIB, MIB, PROJECT, case, crc32c_of, equal, md5_of, refused, save, text

CHUNK = 256 * KIB
QUOTES = "'\""


def some_bytes(size):
    pattern = bytes(range(251))  # of a prime length: no two places in a chunk are alike
    return (pattern * (size // len(pattern) + 1))[:size]


@case("upload-media")
def _(c):
    bucket = c.bucket()
    data = some_bytes(100_000)
    answer = c.upload(bucket, "a b/ü", data, {"Content-Type": "audio/wav"})
    equal(answer.status, 200)
    resource = answer.json()
    equal((resource["kind"], resource["name"], resource["size"]), ("storage#object", "a b/ü", "100000"))
    blob = bucket.get_blob("a b/ü")
    equal((blob.size, blob.content_type, blob.metageneration), (100_000, "audio/wav", 1))
    equal(blob.download_as_bytes(), data)


@case("upload-multipart")
def _(c):
    bucket = c.bucket()
    # Lines like a boundary's, and line ends of all kinds, are the object's own.
    data = b"\r\n--x\r\n--===============0==--\r\n\n\r\0" + some_bytes(1_000) + b"\r\n"
    blob = bucket.blob("a")
    blob.metadata = {"k": "v"}
    blob.upload_from_string(data, content_type="audio/wav")
    found = bucket.get_blob("a")
    equal((found.size, found.content_type, found.metadata), (len(data), "audio/wav", {"k": "v"}))
    equal(found.download_as_bytes(), data)
    blob.upload_from_file(io.BytesIO(b"other"), size=5, content_type="text/plain")
    equal(text(bucket, "a"), "other")
    # gcloud ends lines with LF and puts the boundary in single quotes.
    for eol, boundary in (("\r\n", "xyz"), ("\r\n", '"==xyz=="'), ("\n", "'==xyz=='")):
        answer = multipart(c, bucket, {"name": "b"}, b"--x\n--xy\r\n", eol, boundary)
        equal((boundary, answer), (boundary, 200))
        found = bucket.get_blob("b")
        equal((found.content_type, found.download_as_bytes()), ("text/x", b"--x\n--xy\r\n"))


@case("upload-resumable")
def _(c):
    bucket = c.bucket()
    data = some_bytes(9 * MIB)  # the client sends up to 8 MiB in another way
    blob = bucket.blob("big")
    blob.metadata = {"k": "v"}
    blob.upload_from_file(io.BytesIO(data), size=len(data), content_type="audio/wav", checksum="crc32c")
    found = bucket.get_blob("big")
    equal((found.size, found.content_type, found.metadata), (len(data), "audio/wav", {"k": "v"}))
    equal(found.download_as_bytes(), data)
    path = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=b"
    answer = c.request("POST", path, headers={"X-Upload-Content-Type": "audio/wav", "X-Upload-Content-Length": "5"})
    done = c.request("PUT", answer.headers["location"], b"whole")  # without Content-Range it is all there is
    equal((answer.status, done.status), (200, 200))
    found = bucket.get_blob("b")
    equal((found.content_type, found.download_as_bytes()), ("audio/wav", b"whole"))


@case("upload-chunks")
def _(c):
    bucket = c.bucket()
    for size in (3 * CHUNK + 17, 2 * CHUNK):  # the second ends with a chunk without a byte
        data = some_bytes(size)
        bucket.blob("a", chunk_size=CHUNK).upload_from_file(io.BytesIO(data), checksum="md5")
        equal(bucket.blob("a").download_as_bytes(), data)
    data = some_bytes(9 * MIB)
    bucket.blob("known", chunk_size=4 * MIB).upload_from_file(io.BytesIO(data), size=len(data))
    equal(bucket.blob("known").download_as_bytes(), data)
    with bucket.blob("written").open("wb", chunk_size=CHUNK) as file:
        for at in range(0, MIB, 100_000):
            file.write(data[at : min(at + 100_000, MIB)])
    equal(bucket.blob("written").download_as_bytes(), data[:MIB])


class Breaking(requests.Session):
    """A session whose connection breaks in the middle of the second chunk."""

    chunks = 0

    def request(self, method, url, data=None, headers=None, **options):
        self.chunks += method == "PUT"
        if method == "PUT" and self.chunks == 2:
            break_off(url, headers["content-range"], data)
            raise requests.ConnectionError("broken off")
        return super().request(method, url, data=data, headers=headers, **options)


def break_off(location, content_range, data):
    """Announces some bytes, sends half of them, and breaks the connection."""
    parts = urlsplit(location)
    head = (
        f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Length: {len(data)}\r\nContent-Range: {content_range}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(head.encode() + data[: len(data) // 2])


@case("upload-resumed")
def _(c):
    bucket = c.bucket()
    data = some_bytes(4 * CHUNK + 100)
    session = Breaking()
    client = storage.Client(project=PROJECT, credentials=AnonymousCredentials(), _http=session)
    blob = bucket.blob("a", chunk_size=CHUNK)
    blob.upload_from_file(io.BytesIO(data), client=client, checksum="crc32c")  # it sends the chunk once more
    equal((session.chunks, hash_of(bucket, "a")), (6, md5_of(data)))

    location = c.begin(bucket, "b")
    break_off(location, f"bytes 0-{len(data) - 1}/{len(data)}", data)
    answer = c.put(location, f"bytes */{len(data)}")
    at = int(answer.headers.get("range", "bytes=0--1").removeprefix("bytes=0-")) + 1
    assert answer.status == 308 and 0 <= at <= len(data) // 2, (answer.status, at)
    answer = c.put(location, f"bytes {at}-{len(data) - 1}/{len(data)}", data[at:])
    equal((answer.status, hash_of(bucket, "b")), (200, md5_of(data)))


def hash_of(bucket, name):
    return md5_of(bucket.blob(name).download_as_bytes())


@case("upload-status")
def _(c):
    bucket = c.bucket()
    data = some_bytes(CHUNK + 5)
    location = c.begin(bucket, "a")
    answer = c.put(location, "bytes */*")
    equal((answer.status, answer.headers.get("range")), (308, None))
    answer = c.put(location, f"bytes 0-{CHUNK - 1}/*", data[:CHUNK])
    equal((answer.status, answer.headers.get("range")), (308, f"bytes=0-{CHUNK - 1}"))
    answer = c.put(location, f"bytes */{len(data)}")
    equal((answer.status, answer.headers.get("range")), (308, f"bytes=0-{CHUNK - 1}"))
    equal(bucket.blob("a").exists(), False)
    answer = c.put(location, f"bytes {CHUNK}-{CHUNK + 4}/{CHUNK + 5}", data[CHUNK:])
    equal((answer.status, answer.json()["size"]), (200, str(len(data))))
    again = c.put(location, f"bytes */{len(data)}")
    equal((again.status, again.json()["generation"]), (200, answer.json()["generation"]))
    equal(bucket.blob("a").download_as_bytes(), data)


@case("upload-cancelled")
def _(c):
    bucket = c.bucket()
    location = c.begin(bucket, "a")
    equal(c.put(location, f"bytes 0-{CHUNK - 1}/*", some_bytes(CHUNK)).status, 308)
    equal(c.request("DELETE", location).status, 499)
    # https://cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload: "a 4xx response"
    for content_range, body in (("bytes */*", b""), (f"bytes {CHUNK}-{CHUNK}/{CHUNK + 1}", b"x")):
        status = c.put(location, content_range, body).status
        assert 400 <= status < 500, status
    equal(bucket.blob("a").exists(), False)


@case("upload-gap")
def _(c):
    bucket = c.bucket()
    data = some_bytes(2 * CHUNK)
    location = c.begin(bucket, "a")
    equal(c.put(location, f"bytes {CHUNK}-{2 * CHUNK - 1}/{2 * CHUNK}", data[CHUNK:]).status, 503)
    equal(bucket.blob("a").exists(), False)
    answer = c.put(location, "bytes */*")
    equal((answer.status, answer.headers.get("range")), (308, None))
    equal(c.put(location, f"bytes 0-{CHUNK - 1}/{2 * CHUNK}", data[:CHUNK]).status, 308)
    equal(c.put(location, f"bytes {CHUNK}-{2 * CHUNK - 1}/{2 * CHUNK}", data[CHUNK:]).status, 200)
    equal(bucket.blob("a").download_as_bytes(), data)


@case("upload-location")
def _(c):
    bucket = c.bucket()
    equal(urlsplit(c.begin(bucket, "a")).netloc, c.address)
    other = f"localhost:{c.address.rsplit(':', 1)[1]}"
    path = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=b"
    answer = c.request("POST", path, headers={"Host": other})
    location = urlsplit(answer.headers["location"])
    equal((answer.status, location.scheme, location.netloc), (200, "http", other))
    equal(c.put(answer.headers["location"], "bytes 0-2/3", b"abc").status, 200)
    equal(text(bucket, "b"), "abc")


@case("upload-empty")
def _(c):
    bucket = c.bucket()
    save(bucket, "multipart", b"")
    bucket.blob("resumable").upload_from_file(io.BytesIO(b""), checksum="crc32c")
    equal(c.upload(bucket, "media", b"").status, 200)
    for name in ("multipart", "resumable", "media"):
        blob = bucket.get_blob(name)
        equal((name, blob.size, blob.crc32c, blob.md5_hash), (name, 0, "AAAAAA==", md5_of(b"")))
        equal(blob.download_as_bytes(), b"")


@case("checksums-returned")
def _(c):
    bucket = c.bucket()
    data = some_bytes(CHUNK + 1)
    both = (md5_of(data), crc32c_of(data))
    save(bucket, "multipart", data)
    bucket.blob("resumable", chunk_size=CHUNK).upload_from_file(io.BytesIO(data), checksum=None)
    c.upload(bucket, "media", data)
    for name in ("multipart", "resumable", "media"):
        blob = bucket.get_blob(name)
        equal((name, blob.md5_hash, blob.crc32c), (name, *both))
    blob = bucket.blob("media")
    blob.download_as_bytes(checksum="crc32c")
    equal((blob.md5_hash, blob.crc32c), both)


@case("checksums-verified")
def _(c):
    bucket = c.bucket()
    data = b"hello"
    right = {"md5Hash": md5_of(data), "crc32c": crc32c_of(data)}
    wrong = {"md5Hash": md5_of(b"other"), "crc32c": crc32c_of(b"other")}
    save(bucket, "a", "as it was")
    for key, header in (("md5Hash", "md5"), ("crc32c", "crc32c")):
        equal((key, multipart(c, bucket, {"name": "a", key: wrong[key]}, data)), (key, 400))
        equal((key, multipart(c, bucket, {"name": key, key: right[key]}, data)), (key, 200))
        answer = c.upload(bucket, "a", data, {"X-Goog-Hash": f"{header}={wrong[key]}"})
        equal((header, answer.status), (header, 400))
        answer = c.upload(bucket, key, data, {"X-Goog-Hash": f"{header}={right[key]}"})
        equal((header, answer.status), (header, 200))
    stream = io.BytesIO(data)
    refused(400, bucket.blob("a").upload_from_file, stream, crc32c_checksum_value=wrong["crc32c"], checksum=None)
    equal(text(bucket, "a"), "as it was")
    bucket.blob("b").upload_from_file(io.BytesIO(data), crc32c_checksum_value=right["crc32c"], checksum=None)
    equal(text(bucket, "b"), "hello")


def multipart(c, bucket, resource, data, eol="\r\n", boundary="xyz"):
    line = f"--{boundary.strip(QUOTES)}"
    head = (line, "Content-Type: application/json", "", json.dumps(resource), line, "Content-Type: text/x", "", "")
    body = eol.join(head).encode() + data + f"{eol}{line}--{eol}".encode()
    path = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"
    return c.request("POST", path, body, {"Content-Type": f"multipart/related; boundary={boundary}"}).status
