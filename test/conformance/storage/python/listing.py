from harness import case, equal, names, part, refused, save


def filled(c, *wanted):
    bucket = c.bucket()
    for name in wanted:
        save(bucket, name, b"x")
    return bucket


def listed(bucket, **options):
    """Names of objects, and prefixes, in the order of the pages."""
    iterator = bucket.list_blobs(**options)
    prefixes = []
    found = []
    for page in iterator.pages:
        found += [blob.name for blob in page]
        prefixes += page.prefixes
    return found, prefixes


@case("list-prefix")
def _(c):
    # In UTF-8 U+FF5E comes before U+1F600, in UTF-16 behind it.
    wanted = ["B", "a", "a b", "a-", "a/b", "a/c/d", "aa", "b", "é", "～", "😀"]
    bucket = filled(c, *reversed(wanted))
    equal(names(bucket), wanted)
    equal(names(bucket, prefix="a"), ["a", "a b", "a-", "a/b", "a/c/d", "aa"])
    equal(names(bucket, prefix="a/"), ["a/b", "a/c/d"])
    equal(names(bucket, prefix="a/c/d"), ["a/c/d"])
    equal(names(bucket, prefix="z"), [])
    refused(404, lambda **once: list(c.client.list_blobs(f"{bucket.name}-absent", **once)))


@case("list-delimiter")
def _(c):
    bucket = filled(c, "a", "b/1", "b/2", "b/c/3", "d/", "e//f", "x-1-2", "x--3")
    equal(listed(bucket, delimiter="/"), (["a", "x--3", "x-1-2"], ["b/", "d/", "e/"]))
    equal(listed(bucket, delimiter="/", prefix="b/"), (["b/1", "b/2"], ["b/c/"]))
    equal(listed(bucket, delimiter="/", prefix="b"), ([], ["b/"]))
    equal(listed(bucket, delimiter="/", prefix="d/"), (["d/"], []))
    equal(listed(bucket, delimiter="/", prefix="e/"), ([], ["e//"]))
    equal(listed(bucket, delimiter="-", prefix="x-"), ([], ["x--", "x-1-"]))
    equal(listed(bucket, delimiter="--", prefix="x"), (["x-1-2"], ["x--"]))
    iterator = bucket.list_blobs(delimiter="/")
    equal(([blob.name for blob in iterator], iterator.prefixes), (["a", "x--3", "x-1-2"], {"b/", "d/", "e/"}))


@case("list-pages")
def _(c):
    bucket = filled(c, *(f"{folder}/{i}" for folder in "abc" for i in range(3)), "a", "d", "e", "f")
    for size in (1, 2, 3):
        sizes = [page.num_items + len(page.prefixes) for page in bucket.list_blobs(delimiter="/", page_size=size).pages]
        assert all(0 < n <= size for n in sizes[:-1]) and sizes[-1] <= size, sizes
        equal(listed(bucket, delimiter="/", page_size=size), (["a", "d", "e", "f"], ["a/", "b/", "c/"]))
        equal(listed(bucket, page_size=size), (names(bucket), []))
    equal(len(names(bucket)), 13)
    equal(names(bucket, max_results=2), ["a", "a/0"])
    first = bucket.list_blobs(page_size=4)
    equal([blob.name for blob in next(first.pages)], ["a", "a/0", "a/1", "a/2"])
    bucket.delete_blob("b/0")  # where the next page would begin
    rest = names(bucket, page_token=first.next_page_token)
    equal(rest, ["b/1", "b/2", "c/0", "c/1", "c/2", "d", "e", "f"])


@case("list-offsets")
def _(c):
    bucket = filled(c, "a", "b", "b/1", "b/2", "c", "d/1", "e")
    equal(names(bucket, start_offset="b"), ["b", "b/1", "b/2", "c", "d/1", "e"])
    equal(names(bucket, end_offset="c"), ["a", "b", "b/1", "b/2"])
    equal(names(bucket, start_offset="b/", end_offset="d"), ["b/1", "b/2", "c"])
    equal(names(bucket, prefix="b", start_offset="b/2"), ["b/2"])
    equal(listed(bucket, delimiter="/", start_offset="b", end_offset="e"), (["b", "c"], ["b/", "d/"]))


@case("list-trailing-delimiter")
def _(c):
    bucket = filled(c, "a", "b/", "b/1", "c/1", "d/")
    equal(listed(bucket, delimiter="/"), (["a"], ["b/", "c/", "d/"]))
    found = listed(bucket, delimiter="/", include_trailing_delimiter=True)
    equal(found, (["a", "b/", "d/"], ["b/", "c/", "d/"]))
    found = listed(bucket, delimiter="/", include_trailing_delimiter=True, page_size=2)
    equal(found, (["a", "b/", "d/"], ["b/", "c/", "d/"]))


@case("list-glob")
def _(c):
    # https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob
    bucket = filled(c, "a.txt", "b.wav", "dir/a.txt", "dir/b.wav", "dir/sub/c.wav", "fob", "foo", "fop")
    for pattern, wanted in (
        ("*.wav", ["b.wav"]),
        ("**.wav", ["b.wav", "dir/b.wav", "dir/sub/c.wav"]),
        ("**/*.wav", ["b.wav", "dir/b.wav", "dir/sub/c.wav"]),
        ("dir/*", ["dir/a.txt", "dir/b.wav"]),
        ("dir/**", ["dir/a.txt", "dir/b.wav", "dir/sub/c.wav"]),
        ("?.txt", ["a.txt"]),
        ("fo[a-o]", ["fob", "foo"]),
        ("fo[bp]", ["fob", "fop"]),
        ("fo[!b]", ["foo", "fop"]),
        ("fo[^b]", ["foo", "fop"]),
        ("{a,b}.{txt,wav}", ["a.txt", "b.wav"]),
        ("nothing*", []),
    ):
        equal((pattern, names(bucket, match_glob=pattern)), (pattern, wanted))
    equal(names(bucket, match_glob="**.wav", prefix="dir/"), ["dir/b.wav", "dir/sub/c.wav"])
    equal(names(bucket, match_glob="**.wav", page_size=1), ["b.wav", "dir/b.wav", "dir/sub/c.wav"])
    for wrong in ("fo[", "{a,b", "a]", "a}"):
        answer = c.api("GET", f"b/{bucket.name}/o?matchGlob={part(wrong)}")
        equal((wrong, answer.status), (wrong, 400))
    refused(400, lambda **once: list(bucket.list_blobs(match_glob="[z-a]", **once)))
