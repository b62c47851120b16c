import uuid

from google.api_core import exceptions

from harness import PROJECT, case, equal, refused, save


@case("bucket-create")
def _(c):
    name = f"b-{uuid.uuid4()}"
    refused(404, c.client.get_bucket, name)
    equal(c.client.bucket(name).exists(), False)
    made = c.client.create_bucket(name)
    equal((made.name, made.metageneration), (name, 1))
    refused(409, c.client.create_bucket, name)
    found = c.client.get_bucket(name)
    equal((found.name, found.storage_class, found.exists()), (name, "STANDARD", True))
    assert found.time_created is not None
    found.delete()
    equal(c.client.lookup_bucket(name), None)
    refused(404, found.delete)
    refused(404, save_one, found)
    refused(404, lambda **once: list(found.list_blobs(**once)))


def save_one(bucket, retry):
    bucket.blob("x").upload_from_string("x", retry=retry)


@case("bucket-list")
def _(c):
    prefix = f"l-{uuid.uuid4()}-"
    wanted = [f"{prefix}{i}" for i in ("a", "b", "c", "d", "e")]
    for name in reversed(wanted):
        c.client.create_bucket(name)
    pages = [[b.name for b in page] for page in c.client.list_buckets(prefix=prefix, page_size=2).pages]
    equal(pages, [wanted[:2], wanted[2:4], wanted[4:]])
    equal([b.name for b in c.client.list_buckets(prefix=prefix, max_results=3)], wanted[:3])
    equal(list(c.client.list_buckets(prefix=f"{prefix}z")), [])


@case("bucket-patch")
def _(c):
    bucket = c.client.get_bucket(c.bucket().name)
    equal((bucket.labels, bucket.versioning_enabled), ({}, False))
    bucket.labels = {"team": "audio", "stage": "one"}
    bucket.versioning_enabled = True
    bucket.patch()
    found = c.client.get_bucket(bucket.name)
    equal((found.labels, found.versioning_enabled), ({"team": "audio", "stage": "one"}, True))
    equal(found.metageneration, 2)
    found.labels = {"team": "video"}  # the client sends null for the label that is gone
    found.patch()
    found = c.client.get_bucket(bucket.name)
    equal((found.labels, found.versioning_enabled), ({"team": "video"}, True))
    equal(found.metageneration, 3)


@case("bucket-update")
def _(c):
    settings = {"labels": {"team": "audio", "stage": "one"}, "versioning": {"enabled": True}}
    name = c.bucket(**settings, storageClass="NEARLINE", location="EU").name
    bucket = c.client.bucket(name)
    bucket.labels = {"team": "video"}
    bucket.update()
    found = c.client.get_bucket(name)
    equal((found.labels, found.versioning_enabled), ({"team": "video"}, False))
    equal((found.storage_class, found.location, found.metageneration), ("STANDARD", "EU", 2))


@case("bucket-preconditions")
def _(c):
    bucket = c.client.get_bucket(c.bucket().name)
    bucket.labels = {"a": "1"}
    refused(412, bucket.patch, if_metageneration_match=bucket.metageneration + 1)
    equal(c.client.get_bucket(bucket.name).labels, {})
    old = bucket.metageneration
    bucket.patch(if_metageneration_match=old)
    refused(412, bucket.reload, if_metageneration_match=old)
    refused(304, bucket.reload, if_metageneration_not_match=old + 1)
    bucket.reload(if_metageneration_not_match=old)
    equal((bucket.labels, bucket.metageneration), ({"a": "1"}, old + 1))
    refused(412, bucket.delete, if_metageneration_match=old)
    bucket.delete(if_metageneration_match=old + 1)
    equal(bucket.exists(), False)


@case("bucket-not-empty")
def _(c):
    bucket = c.bucket()
    save(bucket, "a/b")
    refused(409, bucket.delete)
    equal(bucket.exists(), True)
    bucket.delete_blob("a/b")
    bucket.delete()
    equal(bucket.exists(), False)
    archive = c.bucket(versioning={"enabled": True})
    generation = save(archive, "x").generation
    archive.delete_blob("x")
    refused(409, archive.delete)
    archive.delete_blob("x", generation=generation)
    archive.delete()
    full = c.bucket()
    save(full, "x")
    full.delete(force=True)  # the client deletes the objects first
    equal(full.exists(), False)


@case("bucket-names")
def _(c):
    # https://cloud.google.com/storage/docs/buckets#naming
    own = uuid.uuid4().hex
    wrong = (
        "ab",
        "x" * 64,
        f"{'x' * 64}.com",
        f"Upper-{own}",
        f"a b-{own}",
        f"-{own}",
        f"{own}-",
        f"a..b-{own}",
        f"ü-{own}",
        f"a/b-{own}",
        "192.168.5.4",
        f"goog-{own}",
        f"my-google-{own}",
        "",
    )
    for name in wrong:
        answer = c.api("POST", f"b?project={PROJECT}", {"name": name})
        equal((name, answer.status), (name, 400))
    for name in (own[:3], own, f"u_{own}", f"0-{own}0", f"{own}{'x' * 31}"):
        try:
            equal(c.client.create_bucket(name).name, name)
        except exceptions.Conflict:
            assert len(name) == 3, name  # one of few
