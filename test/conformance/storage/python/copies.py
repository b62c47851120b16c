from harness import MIB, case, crc32c_of, equal, names, part, refused, save, text


def described(bucket, name, data):
    blob = bucket.blob(name)
    blob.cache_control = "no-store"
    blob.metadata = {"k": "v"}
    blob.upload_from_string(data, content_type="audio/wav")
    return blob


def about(blob):
    return blob.content_type, blob.cache_control, blob.metadata


@case("copy")
def _(c):
    bucket, other = c.bucket(), c.bucket()
    source = described(bucket, "a/ü", "data")
    copied = bucket.copy_blob(source, other)
    equal((copied.name, copied.bucket.name, copied.metageneration), ("a/ü", other.name, 1))
    found = other.get_blob("a/ü")
    equal((about(found), found.generation), (about(source), copied.generation))
    equal((found.md5_hash, text(other, "a/ü")), (source.md5_hash, "data"))
    assert found.generation != source.generation
    path = f"b/{bucket.name}/o/{part('a/ü')}/copyTo/b/{bucket.name}/o/b"
    answer = c.api("POST", path, {"contentType": "text/plain", "metadata": {"new": "1"}})
    equal(answer.status, 200)
    equal(about(bucket.get_blob("b")), ("text/plain", None, {"new": "1"}))
    equal((about(bucket.get_blob("a/ü")), text(bucket, "b")), (about(source), "data"))
    refused(404, bucket.copy_blob, bucket.blob("absent"), bucket, "x")
    refused(404, bucket.copy_blob, source, c.client.bucket(f"{bucket.name}-absent"))


@case("rewrite")
def _(c):
    bucket, other = c.bucket(), c.bucket()
    source = described(bucket, "a", "data")
    target = other.blob("b/c")
    equal(target.rewrite(source), (None, 4, 4))
    equal((about(target), target.md5_hash, target.metageneration), (about(source), source.md5_hash, 1))
    equal(text(other, "b/c"), "data")
    changed = other.blob("changed")
    changed.content_type = "text/plain"
    changed.metadata = {"new": "1"}
    equal(changed.rewrite(source), (None, 4, 4))
    found = other.get_blob("changed")
    equal((found.content_type, found.metadata), ("text/plain", {"new": "1"}))
    save(bucket, "empty", b"")
    equal(bucket.blob("copy").rewrite(bucket.blob("empty")), (None, 0, 0))
    refused(404, target.rewrite, bucket.blob("absent"))
    equal(text(other, "b/c"), "data")


@case("rewrite-tokens")
def _(c):
    # Within a location and a class it would be done at once.
    bucket, other = c.bucket(location="US"), c.bucket(location="EU")
    data = bytes(range(256)) * (3 * MIB // 256) + b"end"
    described(bucket, "a", data)
    # The client has no word for the limit of a call.
    path = f"b/{bucket.name}/o/a/rewriteTo/b/{other.name}/o/b?maxBytesRewrittenPerCall={MIB}"
    token = ""
    for done in (MIB, 2 * MIB, 3 * MIB):
        answer = c.api("POST", path + token).json()
        seen = (answer["kind"], answer["totalBytesRewritten"], answer["objectSize"], answer["done"])
        equal(seen, ("storage#rewriteResponse", str(done), str(len(data)), False))
        assert "resource" not in answer
        token = f"&rewriteToken={part(answer['rewriteToken'])}"
        equal(other.blob("b").exists(), False)
    answer = c.api("POST", path + token).json()
    equal((answer["totalBytesRewritten"], answer["done"], "rewriteToken" in answer), (str(len(data)), True, False))
    equal((answer["resource"]["name"], answer["resource"]["size"]), ("b", str(len(data))))
    found = other.get_blob("b")
    equal((about(found), found.crc32c), (("audio/wav", "no-store", {"k": "v"}), crc32c_of(data)))
    equal(c.api("POST", f"{path}&rewriteToken=unknown").status, 400)
    equal(c.api("POST", path.replace(str(MIB), "1000")).status, 400)


@case("compose")
def _(c):
    bucket = c.bucket()
    parts = [save(bucket, name, data) for name, data in (("a", b"one "), ("b/c", b"two "), ("d", b""))]
    target = bucket.blob("all")
    target.content_type = "audio/wav"
    target.metadata = {"k": "v"}
    target.compose(parts)
    found = bucket.get_blob("all")
    equal((found.component_count, found.md5_hash, found.size), (3, None, 8))
    equal((found.content_type, found.metadata, found.crc32c), ("audio/wav", {"k": "v"}, crc32c_of(b"one two ")))
    equal(found.download_as_bytes(checksum="crc32c"), b"one two ")
    target.compose([target, parts[0]])
    found = bucket.get_blob("all")
    equal((found.component_count, found.download_as_bytes()), (4, b"one two one "))
    bucket.blob("32").compose([bucket.blob("a")] * 32)
    equal((bucket.get_blob("32").component_count, text(bucket, "32")), (32, "one " * 32))
    copied = bucket.copy_blob(found, bucket, "copied")
    equal((copied.crc32c, copied.md5_hash), (found.crc32c, None))
    equal(names(bucket), ["32", "a", "all", "b/c", "copied", "d"])


@case("compose-refused")
def _(c):
    bucket = c.bucket()
    one = save(bucket, "a")
    target = bucket.blob("all")
    refused(400, target.compose, [])
    refused(400, target.compose, [one] * 33)
    refused(404, target.compose, [one, bucket.blob("absent")])
    refused(404, target.compose, [bucket.blob("a", generation=one.generation + 1)])
    refused(404, c.client.bucket(f"{bucket.name}-absent").blob("all").compose, [one])
    equal(names(bucket), ["a"])


@case("move")
def _(c):
    bucket = c.bucket()
    source = described(bucket, "a/ü", "data")
    moved = bucket.move_blob(source, "b/c d")
    equal((moved.name, moved.metageneration, about(moved)), ("b/c d", 1, about(source)))
    assert moved.generation != source.generation
    equal((names(bucket), text(bucket, "b/c d")), (["b/c d"], "data"))
    refused(404, bucket.move_blob, source, "x")
    save(bucket, "old", "old")
    bucket.move_blob(moved, "old")
    equal((names(bucket), text(bucket, "old")), (["old"], "data"))
