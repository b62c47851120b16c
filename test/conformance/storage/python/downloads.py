import gzip
import io

from harness import KIB, case, crc32c_of, equal, md5_of, refused, save

CHUNK = 256 * KIB
TEXT = b"what repeats can be packed. " * 400
PACKED = gzip.compress(TEXT, mtime=0)


@case("download-whole")
def _(c):
    bucket = c.bucket()
    data = bytes(range(256)) * 4_096 + b"\r\n\0"
    save(bucket, "a/b c", data)
    blob = bucket.blob("a/b c")
    equal(blob.download_as_bytes(checksum="md5"), data)
    chunked = io.BytesIO()
    bucket.blob("a/b c", chunk_size=CHUNK).download_to_file(chunked)
    equal(chunked.getvalue(), data)
    with blob.open("rb", chunk_size=CHUNK) as file:
        equal((file.read(10), file.seek(-3, io.SEEK_END), file.read()), (data[:10], len(data) - 3, b"\r\n\0"))
    equal(bucket.get_blob("a/b c").download_as_bytes(), data)  # by its mediaLink
    answer = c.request("GET", f"/storage/v1/b/{bucket.name}/o/a%2Fb%20c?alt=media")
    equal((answer.status, answer.body == data), (200, True))
    refused(404, bucket.blob("absent").download_as_bytes)


@case("download-range")
def _(c):
    bucket = c.bucket()
    save(bucket, "a", b"0123456789")
    blob = bucket.blob("a")
    equal(blob.download_as_bytes(start=2, end=4), b"234")
    equal(blob.download_as_bytes(start=0, end=0), b"0")
    equal(blob.download_as_bytes(start=7), b"789")
    equal(blob.download_as_bytes(start=-3), b"789")
    equal(blob.download_as_bytes(start=8, end=100), b"89")
    refused(416, blob.download_as_bytes, start=10)
    refused(416, blob.download_as_bytes, start=50, end=60)
    for sent, status, body, content_range in (
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-100", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
    ):
        answer = c.media(bucket, "a", {"Range": sent})
        seen = (answer.status, answer.body, answer.headers.get("content-range"), answer.headers["content-length"])
        equal((sent, *seen), (sent, status, body, content_range, str(len(body))))


@case("download-headers")
def _(c):
    bucket = c.bucket()
    blob = bucket.blob("a")
    blob.content_disposition = 'attachment; filename="a.wav"'
    blob.content_language = "de"
    blob.cache_control = "private, max-age=60"
    blob.upload_from_string(b"0123456789", content_type="audio/wav")
    answer = c.media(bucket, "a")
    wanted = {
        "content-type": "audio/wav",
        "content-length": "10",
        "content-disposition": 'attachment; filename="a.wav"',
        "content-language": "de",
        "cache-control": "private, max-age=60",
        "x-goog-generation": str(blob.generation),
        "x-goog-metageneration": "1",
        "x-goog-storage-class": "STANDARD",
        "x-goog-stored-content-encoding": "identity",
        "x-goog-stored-content-length": "10",
    }
    equal({name: answer.headers.get(name) for name in wanted}, wanted)
    hashes = sorted(h.strip() for h in answer.headers.get("x-goog-hash", "").split(","))
    equal(hashes, [f"crc32c={crc32c_of(b'0123456789')}", f"md5={md5_of(b'0123456789')}"])
    fresh = bucket.blob("a")
    fresh.download_as_bytes()
    equal((fresh.generation, fresh.metageneration, fresh.content_type), (blob.generation, 1, "audio/wav"))


def packed(bucket, name, cache_control=None):
    blob = bucket.blob(name)
    blob.content_encoding = "gzip"
    blob.cache_control = cache_control
    blob.upload_from_string(PACKED, content_type="text/plain")
    return blob


@case("gzip-unpacked")
def _(c):
    # https://cloud.google.com/storage/docs/transcoding
    bucket = c.bucket()
    equal(packed(bucket, "a").size, len(PACKED))
    for headers in ({}, {"Accept-Encoding": "identity"}, {"Accept-Encoding": "br"}):
        answer = c.media(bucket, "a", headers)
        equal((headers, answer.status, answer.body), (headers, 200, TEXT))
        equal(answer.headers.get("content-encoding"), None)
        equal(answer.headers.get("x-goog-stored-content-encoding"), "gzip")
        equal(answer.headers.get("x-goog-stored-content-length"), str(len(PACKED)))
    # A range is ignored, as it would be one of the packed bytes.
    answer = c.media(bucket, "a", {"Range": "bytes=0-3"})
    equal((answer.status, answer.body), (200, TEXT))


@case("gzip-stored")
def _(c):
    bucket = c.bucket()
    packed(bucket, "a")
    blob = bucket.blob("a")
    equal(blob.download_as_bytes(raw_download=True), PACKED)
    equal(blob.download_as_bytes(), TEXT)  # the client unpacks it
    equal(blob.content_encoding, "gzip")
    answer = c.media(bucket, "a", {"Accept-Encoding": "gzip"})
    seen = (answer.body, answer.headers.get("content-encoding"), answer.headers.get("content-length"))
    equal(seen, (PACKED, "gzip", str(len(PACKED))))
    answer = c.media(bucket, "a", {"Accept-Encoding": "gzip", "Range": "bytes=2-5"})
    equal((answer.status, answer.body), (206, PACKED[2:6]))
    packed(bucket, "b", "no-transform")
    answer = c.media(bucket, "b")
    equal((answer.body, answer.headers.get("content-encoding")), (PACKED, "gzip"))
