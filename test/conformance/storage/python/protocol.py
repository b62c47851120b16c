import email
import uuid

from google.api_core import exceptions

from harness import PROJECT, case, equal, names, part, refused, save, text


@case("batch")
def _(c):
    bucket = c.bucket()
    blobs = [save(bucket, f"o/{i}") for i in range(5)]
    with c.client.batch():
        for blob in blobs:
            blob.metadata = {"name": blob.name, "ü": "ß"}
            blob.patch()
    equal([b.metadata for b in blobs], [{"name": f"o/{i}", "ü": "ß"} for i in range(5)])
    equal([b.metageneration for b in bucket.list_blobs()], [2] * 5)
    with c.client.batch(raise_exception=False) as batch:
        for i in range(200):
            bucket.delete_blob(f"o/{i}")
        bucket.copy_blob(bucket.blob("absent"), bucket, "x")
    equal([r.status_code for r in batch._responses], [204] * 5 + [404] * 196)
    equal(batch._responses[5].json()["error"]["errors"][0]["reason"], "notFound")
    equal(names(bucket), [])
    save(bucket, "last")
    try:
        with c.client.batch():
            bucket.delete_blob("absent")
            bucket.delete_blob("last")
        raise AssertionError("accepted")
    except exceptions.NotFound:
        equal(names(bucket), [])  # a part that fails does not end the others


PATCH = 'Content-Type: application/json\r\nContent-Length: 23\r\n\r\n{"contentType":"a/wav"}'


@case("batch-parts")
def _(c):
    bucket = c.bucket()
    save(bucket, "a")
    path = f"/storage/v1/b/{bucket.name}/o"
    parts = (
        ("", f"GET {path}/a HTTP/1.1\r\n\r\n"),
        ("Content-ID: <x+1>\r\n", f"GET {path}/absent HTTP/1.1\r\n\r\n"),
        ("Content-ID: <x+2>\r\n", f"GET {path}/a?ifGenerationMatch=7 HTTP/1.1\r\nAccept: application/json\r\n\r\n"),
        ("Content-ID: <x+3>\r\n", f"PATCH {path}/a HTTP/1.1\r\n{PATCH}"),
        ("", f"DELETE {path}/a HTTP/1.1\r\n\r\n"),
    )
    body = "".join(f"--x\r\nContent-Type: application/http\r\n{head}\r\n{inner}\r\n" for head, inner in parts)
    headers = {"Content-Type": 'multipart/mixed; boundary="x"'}
    answer = c.request("POST", "/batch/storage/v1", f"{body}--x--\r\n".encode(), headers)
    equal(answer.status, 200)
    whole = f"Content-Type: {answer.headers['content-type']}\n\n".encode() + answer.body
    answers = email.message_from_bytes(whole).get_payload()
    equal([a.get_content_type() for a in answers], ["application/http"] * 5)
    equal([a["Content-ID"] for a in answers], [None, "<response-x+1>", "<response-x+2>", "<response-x+3>", None])
    inner = [a.get_payload() for a in answers]
    equal([i.split(" ")[1] for i in inner], ["200", "404", "412", "200", "204"])
    assert '"a/wav"' in inner[3] and '"notFound"' in inner[1], inner
    empty = c.request("POST", "/batch/storage/v1", b"--x--\r\n", headers)
    equal(empty.status, 400)


LEGAL = (
    "a",
    "a/b",  # beside "a"
    "a/",
    "a//b",
    "/a",
    "//",
    "a/./b",
    "a/../b",
    "../x",
    "...",
    ".hidden",
    "A",
    " a ",
    "a\tb",
    "tab\\slash",
    "a%2Fb",
    "100%",
    "a+b&c=d;e?f#g",
    "[x]*'\"<>|:",
    "e\u0301",
    "\u00e9",  # the same to the eye
    "日本/😀",
    "con",
    "x" * 1_024,
    "y/" * 512,
    "😀" * 256,
    ".well-known/other",
)


@case("object-names")
def _(c):
    bucket = c.bucket()
    for name in LEGAL:
        save(bucket, name, f"data of {name}")
    equal(names(bucket), sorted(LEGAL, key=str.encode))
    for name in LEGAL:
        equal((name, text(bucket, name)), (name, f"data of {name}"))
        equal(bucket.get_blob(name).name, name)
    for name in LEGAL:
        bucket.delete_blob(name)
    equal(names(bucket), [])


@case("object-names-refused")
def _(c):
    # https://cloud.google.com/storage/docs/objects#naming
    bucket = c.bucket()
    source = save(bucket, "a")
    wrong = (".", "..", "a\nb", "a\rb", ".well-known/acme-challenge/x", "x" * 1_025, "é" * 513, "")
    for name in wrong:
        error = refused(400, bucket.blob(name).upload_from_string, "x")
        assert error.message, name
    for name in wrong[2:-1]:
        refused(400, bucket.blob(name).create_resumable_upload_session)
        refused(400, bucket.copy_blob, source, bucket, name)
        refused(400, bucket.blob(name).compose, [source])
    equal(names(bucket), ["a"])


@case("path-prefixes")
def _(c):
    bucket = c.bucket()
    save(bucket, "a/b", "data")
    for prefix in ("/storage/v1", ""):
        at = f"{prefix}/b/{bucket.name}"
        equal((prefix, c.request("GET", at).json()["name"]), (prefix, bucket.name))
        equal(c.request("GET", f"{at}/o").json()["items"][0]["name"], "a/b")
        equal(c.request("GET", f"{at}/o/a%2Fb").json()["size"], "4")
        equal(c.request("GET", f"{at}/o/a%2Fb?alt=media").body, b"data")
        path = f"{at}/o/a%2Fb/copyTo/b/{bucket.name}/o/c"
        equal(c.request("POST", path).status, 200)
        equal(c.request("DELETE", f"{at}/o/c").status, 204)
    equal(c.media(bucket, "a/b").body, b"data")
    made = c.request("POST", f"/b?project={PROJECT}", f'{{"name": "b-{uuid.uuid4()}"}}'.encode())
    equal(made.status, 200)


@case("errors")
def _(c):
    bucket = c.bucket()
    save(bucket, "a")
    for method, path, resource, status, reason in (
        ("GET", f"b/{bucket.name}-absent", None, 404, "notFound"),
        ("GET", f"b/{bucket.name}/o/absent", None, 404, "notFound"),
        ("POST", f"b?project={PROJECT}", {"name": bucket.name}, 409, "conflict"),
    ):
        answer = c.api(method, path, resource)
        equal((path, answer.status), (path, status))
        equal(answer.headers["content-type"].split(";")[0], "application/json")
        error = answer.json()["error"]
        equal((error["code"], error["errors"][0]["reason"], error["errors"][0]["domain"]), (status, reason, "global"))
        assert error["message"] and error["errors"][0]["message"], error
    headers = {"Content-Type": "application/json"}
    answer = c.request("PATCH", f"/storage/v1/b/{bucket.name}/o/a", b"{", headers)
    equal((answer.status, answer.json()["error"]["code"]), (400, 400))
    error = refused(404, bucket.blob("absent").reload)
    equal(error.errors[0]["reason"], "notFound")
    error = refused(412, bucket.blob("a").upload_from_string, "x", if_generation_match=7)
    equal(error.response.json()["error"]["code"], 412)


@case("unsupported")
def _(c):
    bucket = c.bucket()
    for method, path, call in (
        ("GET", f"b/{bucket.name}/acl", "storage.bucketAccessControls"),
        ("GET", f"b/{bucket.name}/o/a/acl", "storage.objectAccessControls"),
        ("GET", f"b/{bucket.name}/notificationConfigs", "storage.notifications"),
        ("GET", f"projects/{PROJECT}/hmacKeys", "storage.projects.hmacKeys"),
    ):
        answer = c.api(method, path)
        equal((path, answer.status, answer.json()["error"]["code"]), (path, 501, 501))
        assert call in answer.json()["error"]["message"], answer.body
    assert "storage.buckets.getIamPolicy" in refused(501, bucket.get_iam_policy).message
    refused(501, bucket.blob("a").upload_from_string, "x", predefined_acl="publicRead")
    refused(501, bucket.blob("a", encryption_key=b"k" * 32).upload_from_string, "x")
    refused(501, bucket.blob("a", kms_key_name="k").upload_from_string, "x")
    bucket.reload()
    bucket.add_lifecycle_delete_rule(age=1)
    refused(501, bucket.patch)
    equal(c.api("GET", f"b/{part(bucket.name)}/o/a/unknown").status, 501)
    equal(names(bucket), [])
