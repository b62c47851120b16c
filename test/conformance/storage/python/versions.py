from harness import case, equal, names, refused, save, text

DAY = 86_400


def archive(c):
    return c.bucket(versioning={"enabled": True})


def listed(bucket, **options):
    return [(blob.name, blob.generation) for blob in bucket.list_blobs(versions=True, **options)]


@case("delete")
def _(c):
    bucket = c.bucket()
    save(bucket, "a/b")
    save(bucket, "a")
    bucket.delete_blob("a/b")
    equal((names(bucket), bucket.blob("a/b").exists(), text(bucket, "a")), (["a"], False, "a"))
    refused(404, bucket.delete_blob, "a/b")
    refused(404, bucket.blob("absent").delete)
    failed = []
    bucket.delete_blobs(["absent", "a"], on_error=failed.append)
    equal((failed, names(bucket)), (["absent"], []))


@case("generation-grows")
def _(c):
    bucket = c.bucket()
    seen = [save(bucket, "a", str(i)).generation for i in range(3)]
    bucket.delete_blob("a")
    seen.append(save(bucket, "a", "again").generation)
    copied = bucket.copy_blob(bucket.blob("a"), bucket, "a")
    seen.append(copied.generation)
    composed = bucket.blob("a")
    composed.compose([bucket.blob("a"), bucket.blob("a")])
    seen.append(composed.generation)
    equal(seen, sorted(set(seen)))
    assert seen[0] > 0
    refused(404, bucket.blob("a", generation=seen[0]).reload)


@case("versions")
def _(c):
    bucket = archive(c)
    first = save(bucket, "a", "first")
    first.metadata = {"of": "first"}
    first.patch()
    second = save(bucket, "a", "second")
    other = save(bucket, "b", "b")
    equal(names(bucket), ["a", "b"])
    equal(listed(bucket), [("a", first.generation), ("a", second.generation), ("b", other.generation)])
    equal((text(bucket, "a"), text(bucket, "a", first.generation)), ("second", "first"))
    old = bucket.get_blob("a", generation=first.generation)
    equal((old.metadata, old.metageneration), ({"of": "first"}, 2))
    assert old.time_deleted is not None and bucket.get_blob("a").time_deleted is None
    bucket.delete_blob("a")
    equal((names(bucket), bucket.get_blob("a")), (["b"], None))
    refused(404, bucket.blob("a").download_as_bytes)
    equal(listed(bucket, prefix="a"), [("a", first.generation), ("a", second.generation)])
    equal(listed(bucket, page_size=1, prefix="a"), [("a", first.generation), ("a", second.generation)])
    equal(text(bucket, "a", second.generation), "second")
    refused(404, bucket.delete_blob, "a")
    plain = c.bucket()
    gone = save(plain, "a", "first").generation
    kept = save(plain, "a", "second").generation
    equal(listed(plain), [("a", kept)])
    refused(404, plain.blob("a", generation=gone).download_as_bytes)


@case("versions-deleted")
def _(c):
    bucket = archive(c)
    generations = [save(bucket, "a", data).generation for data in ("first", "second", "third")]
    first, second, third = generations

    def left():
        return [g for g in generations if bucket.blob("a", generation=g).exists()]

    bucket.delete_blob("a", generation=first)
    equal(left(), [second, third])
    refused(404, bucket.blob("a", generation=first).download_as_bytes)
    refused(404, bucket.delete_blob, "a", generation=first)
    bucket.delete_blob("a", generation=third)  # the live one, which becomes no version
    equal((left(), names(bucket)), ([second], []))
    equal(text(bucket, "a", second), "second")
    bucket.delete_blob("a", generation=second)
    equal(left(), [])
    bucket.delete()


@case("versions-restored")
def _(c):
    bucket = archive(c)
    first = save(bucket, "a", "first").generation
    second = save(bucket, "a", "second").generation
    restored = bucket.copy_blob(bucket.blob("a"), bucket, "a", source_generation=first)
    assert restored.generation > second, restored.generation
    equal(text(bucket, "a"), "first")
    equal(listed(bucket), [("a", first), ("a", second), ("a", restored.generation)])
    bucket.delete_blob("a")
    bucket.blob("a").rewrite(bucket.blob("a", generation=second))
    equal((text(bucket, "a"), len(listed(bucket))), ("second", 4))


@case("soft-delete")
def _(c):
    bucket = c.bucket(softDeletePolicy={"retentionDurationSeconds": str(7 * DAY)})
    equal(c.client.get_bucket(bucket.name).soft_delete_policy.retention_duration_seconds, 7 * DAY)
    first = bucket.blob("a")
    first.metadata = {"of": "first"}
    first.upload_from_string("first", content_type="audio/wav")
    second = save(bucket, "a", "second")
    bucket.delete_blob("a")
    equal((names(bucket), bucket.get_blob("a")), ([], None))
    gone = list(bucket.list_blobs(soft_deleted=True))
    equal([(b.name, b.generation) for b in gone], [("a", first.generation), ("a", second.generation)])
    for blob in gone:
        equal((blob.hard_delete_time - blob.soft_delete_time).total_seconds(), 7 * DAY)
    found = bucket.get_blob("a", generation=first.generation, soft_deleted=True)
    equal((found.metadata, found.soft_delete_time), ({"of": "first"}, gone[0].soft_delete_time))
    refused(404, bucket.blob("a", generation=first.generation).download_as_bytes)
    refused(404, bucket.restore_blob, "a", generation=second.generation + 1)
    restored = bucket.restore_blob("a", generation=first.generation)
    assert restored.generation > second.generation, restored.generation
    found = bucket.get_blob("a")
    equal((found.generation, found.metadata, found.content_type), (restored.generation, {"of": "first"}, "audio/wav"))
    equal((text(bucket, "a"), found.soft_delete_time), ("first", None))
    refused(412, bucket.restore_blob, "a", generation=second.generation, if_generation_match=0)
    answer = c.api("GET", f"b/{bucket.name}/o?softDeleted=true&versions=true")
    equal(answer.status, 400)
    for seconds in (3_600, 91 * DAY):
        policy = {"softDeletePolicy": {"retentionDurationSeconds": str(seconds)}}
        equal((seconds, c.api("PATCH", f"b/{bucket.name}", policy).status), (seconds, 400))
