import datetime

from harness import case, equal, part, refused, save


def described(bucket, name):
    blob = bucket.blob(name)
    blob.content_disposition = "inline"
    blob.content_language = "de"
    blob.cache_control = "no-store"
    blob.custom_time = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    blob.metadata = {"speaker": "Zoë", "empty": "", "Case": "kept"}
    blob.upload_from_string(b"data", content_type="audio/wav")
    return blob


def resource(c, bucket, name):
    return c.api("GET", f"b/{bucket.name}/o/{part(name)}").json()


@case("metadata")
def _(c):
    bucket = c.bucket()
    described(bucket, "a")
    found = bucket.get_blob("a")
    equal((found.content_type, found.content_disposition, found.content_language), ("audio/wav", "inline", "de"))
    equal((found.cache_control, found.custom_time.year), ("no-store", 2026))
    equal(found.metadata, {"speaker": "Zoë", "empty": "", "Case": "kept"})
    equal((found.bucket.name, found.name, found.storage_class), (bucket.name, "a", "STANDARD"))
    assert found.time_created is not None and found.updated is not None and found.etag
    equal(found.id, f"{bucket.name}/a/{found.generation}")
    save(bucket, "plain")
    plain = resource(c, bucket, "plain")
    absent = ("contentDisposition", "contentLanguage", "contentEncoding", "cacheControl", "customTime")
    equal([key for key in (*absent, "metadata", "timeDeleted", "componentCount") if key in plain], [])
    equal((plain["kind"], plain["size"], type(plain["generation"])), ("storage#object", "5", str))


@case("metadata-patch")
def _(c):
    bucket = c.bucket()
    written = described(bucket, "a")
    blob = bucket.blob("a")
    blob.metadata = {"speaker": "Yan", "empty": None, "new": "1"}
    blob.cache_control = None
    blob.content_type = "audio/ogg"
    blob.patch()
    found = bucket.get_blob("a")
    equal(found.metadata, {"speaker": "Yan", "Case": "kept", "new": "1"})
    equal((found.content_type, found.cache_control, found.content_language), ("audio/ogg", None, "de"))
    equal((found.generation, found.metageneration), (written.generation, 2))
    assert found.updated >= found.time_created
    answer = c.api("PATCH", f"b/{bucket.name}/o/a", {"metadata": None})
    equal((answer.status, answer.json().get("metadata"), answer.json()["metageneration"]), (200, None, "3"))
    equal(bucket.blob("a").download_as_bytes(), b"data")
    refused(404, bucket.blob("absent").patch)


@case("metadata-update")
def _(c):
    bucket = c.bucket()
    written = described(bucket, "a")
    blob = bucket.blob("a")
    blob.content_type = "text/plain"
    blob.metadata = {"only": "this"}
    blob.update()
    found = bucket.get_blob("a")
    equal((found.content_type, found.metadata), ("text/plain", {"only": "this"}))
    equal((found.content_disposition, found.content_language, found.cache_control), (None, None, None))
    equal((found.generation, found.metageneration), (written.generation, 2))
    equal(found.download_as_bytes(), b"data")


@case("fields")
def _(c):
    # https://cloud.google.com/storage/docs/json_api#partial-response
    bucket = c.bucket()
    described(bucket, "a")
    save(bucket, "b")
    listed = list(bucket.list_blobs(fields="items(name,metadata/speaker),nextPageToken"))
    equal([blob._properties for blob in listed], [{"name": "a", "metadata": {"speaker": "Zoë"}}, {"name": "b"}])
    pages = [[b.name for b in page] for page in bucket.list_blobs(fields="items/name,nextPageToken", page_size=1).pages]
    equal(pages, [["a"], ["b"]])
    path = f"b/{bucket.name}/o/a?fields="
    equal(c.api("GET", f"{path}name,size").json(), {"name": "a", "size": "4"})
    equal(c.api("GET", f"{path}metadata(Case,empty)").json(), {"metadata": {"Case": "kept", "empty": ""}})
    equal(c.api("GET", f"{path}*").json(), resource(c, bucket, "a"))
    equal(c.api("GET", f"b/{bucket.name}?fields=name").json(), {"name": bucket.name})
    for wrong in ("items(name", "name)", "/name", "colour", "name/first"):
        answer = c.api("GET", f"{path}{part(wrong)}")
        equal((wrong, answer.status), (wrong, 400))
        assert "Invalid field selection" in answer.json()["error"]["message"], answer.body
