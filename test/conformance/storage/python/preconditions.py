import concurrent.futures
import io

from google.api_core import exceptions

from harness import case, equal, names, refused, save, text


@case("precondition-create")
def _(c):
    bucket = c.bucket()
    write = bucket.blob("a").upload_from_string
    write("first", if_generation_match=0)
    refused(412, write, "second", if_generation_match=0)
    resumable = bucket.blob("a").upload_from_file  # of a size that is not known
    refused(412, resumable, io.BytesIO(b"second"), if_generation_match=0)
    equal(text(bucket, "a"), "first")
    bucket.delete_blob("a")
    resumable(io.BytesIO(b"third"), if_generation_match=0)
    equal(text(bucket, "a"), "third")


@case("precondition-write")
def _(c):
    bucket = c.bucket()
    old = save(bucket, "a", "first").generation
    new = save(bucket, "a", "second").generation
    blob = bucket.blob("a")
    refused(412, blob.upload_from_string, "x", if_generation_match=old)
    refused(412, blob.upload_from_string, "x", if_metageneration_match=2)
    refused(304, blob.upload_from_string, "x", if_generation_not_match=new)
    refused(412, bucket.blob("absent").upload_from_string, "x", if_generation_match=new)
    refused(304, bucket.blob("absent").upload_from_string, "x", if_generation_not_match=0)
    blob.metadata = {"k": "v"}
    refused(412, blob.patch, if_generation_match=old)
    refused(412, blob.patch, if_metageneration_match=7)
    refused(412, blob.update, if_metageneration_match=7)
    refused(412, blob.delete, if_generation_match=old)
    refused(412, blob.delete, if_metageneration_match=7)
    found = bucket.get_blob("a")
    equal((found.generation, found.metageneration, found.metadata, text(bucket, "a")), (new, 1, None, "second"))
    blob.patch(if_generation_match=new, if_metageneration_match=1)
    equal(bucket.get_blob("a").metadata, {"k": "v"})
    blob = bucket.blob("a")
    blob.upload_from_string("third", if_generation_match=new, if_metageneration_match=2)
    equal(text(bucket, "a"), "third")
    blob.delete(if_generation_match=blob.generation, if_metageneration_match=1)
    equal(names(bucket), [])


@case("precondition-read")
def _(c):
    bucket = c.bucket()
    old = save(bucket, "a", "first").generation
    new = save(bucket, "a", "second").generation
    blob = bucket.blob("a")
    for call in (blob.reload, blob.download_as_bytes):
        refused(412, call, if_generation_match=old)
        refused(412, call, if_metageneration_match=2)
        refused(304, call, if_generation_not_match=new)
        refused(304, call, if_metageneration_not_match=1)
    fresh = bucket.blob("a")
    equal(fresh.download_as_bytes(if_generation_match=new, if_metageneration_match=1), b"second")
    equal(fresh.download_as_bytes(if_generation_not_match=old, if_metageneration_not_match=2), b"second")
    fresh.reload(if_generation_match=new)
    equal(fresh.generation, new)
    equal(text(bucket, "a", new), "second")
    refused(404, bucket.blob("a", generation=old).download_as_bytes)
    refused(404, bucket.blob("a", generation=old).reload)
    path = f"/storage/v1/b/{bucket.name}/o/a"
    answer = c.request("GET", f"{path}?ifGenerationNotMatch={new}")
    equal((answer.status, answer.body), (304, b""))
    equal(c.request("GET", f"{path}?ifGenerationMatch=one").status, 400)


@case("precondition-source")
def _(c):
    bucket = c.bucket()
    source = save(bucket, "a", "data")
    right, wrong = source.generation, source.generation + 1
    plain = bucket.blob("a")  # knows no generation, which the client would name
    refused(412, bucket.copy_blob, plain, bucket, "b", if_source_generation_match=wrong)
    refused(412, bucket.copy_blob, plain, bucket, "b", if_source_metageneration_match=2)
    refused(304, bucket.copy_blob, plain, bucket, "b", if_source_generation_not_match=right)
    refused(412, bucket.blob("b").rewrite, plain, if_source_generation_match=wrong)
    refused(412, bucket.blob("a").rewrite, plain, if_generation_match=0)
    refused(412, bucket.blob("b").compose, [plain], if_source_generation_match=[wrong])
    refused(412, bucket.move_blob, plain, "b", if_source_generation_match=wrong)
    refused(412, bucket.move_blob, plain, "b", if_generation_match=wrong)
    equal(names(bucket), ["a"])
    bucket.copy_blob(plain, bucket, "b", if_source_generation_match=right, if_source_metageneration_match=1)
    bucket.blob("c").rewrite(plain, if_source_generation_match=right, if_generation_match=0)
    bucket.blob("d").compose([plain], if_source_generation_match=[right], if_generation_match=0)
    refused(412, bucket.blob("d").compose, [plain], if_generation_match=0)
    bucket.move_blob(plain, "e", if_source_generation_match=right, if_generation_match=0)
    equal(names(bucket), ["b", "c", "d", "e"])


@case("precondition-race")
def _(c):
    bucket = c.bucket()
    generation = 0
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(3):

            def write(number, expected=generation):
                blob = bucket.blob("a")
                try:
                    blob.upload_from_string(f"writer {number}", if_generation_match=expected, retry=None)
                    return blob.generation, number
                except exceptions.PreconditionFailed:
                    return None

            winners = [w for w in pool.map(write, range(16)) if w is not None]
            equal(len(winners), 1)
            generation, number = winners[0]
            equal((bucket.get_blob("a").generation, text(bucket, "a")), (generation, f"writer {number}"))


@case("etag")
def _(c):
    bucket = c.bucket()
    save(bucket, "a", "first")
    old = bucket.get_blob("a").etag
    save(bucket, "a", "second")
    blob = bucket.get_blob("a")
    tag = blob.etag
    assert tag != old, tag
    for call in (blob.reload, bucket.blob("a").download_as_bytes):
        refused(412, call, if_etag_match=old)
        refused(304, call, if_etag_not_match=tag)
        call(if_etag_match=tag)
        call(if_etag_match=[old, tag])
        call(if_etag_not_match=old)
    equal(c.media(bucket, "a").headers["etag"].strip('"'), tag)
    blob.metadata = {"k": "v"}
    blob.patch()
    assert bucket.get_blob("a").etag != tag
    path = f"/storage/v1/b/{bucket.name}/o/a"
    equal(c.request("GET", path, headers={"If-Match": "*"}).status, 200)
    equal(c.request("GET", path, headers={"If-None-Match": "*"}).status, 304)
    named = c.client.get_bucket(bucket.name)
    refused(304, named.reload, if_etag_not_match=named.etag)
    refused(412, named.reload, if_etag_match=old)
