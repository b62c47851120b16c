"""Runs all cases against the emulator that STORAGE_EMULATOR_HOST names; prints a line of JSON for each."""

import concurrent.futures
import importlib.metadata
import json
import os
import sys
import traceback

import buckets  # noqa: F401
import copies  # noqa: F401
import downloads  # noqa: F401
import listing  # noqa: F401
import metadata  # noqa: F401
import preconditions  # noqa: F401
import protocol  # noqa: F401
import uploads  # noqa: F401
import versions  # noqa: F401
from harness import CASES, Context

url = os.environ["STORAGE_EMULATOR_HOST"]


def run(name):
    try:
        CASES[name](Context(url))
        return {"case": name, "passed": True}
    except Exception as error:  # whatever it is, it is this case's result
        place = traceback.extract_tb(error.__traceback__)
        where = [f"{os.path.basename(f.filename)}:{f.lineno}" for f in place if "conformance" in f.filename]
        return {"case": name, "passed": False, "error": f"{type(error).__name__}: {error}", "where": where}


print(json.dumps({"client": importlib.metadata.version("google-cloud-storage")}), flush=True)
wanted = sys.argv[1:] or list(CASES)
with concurrent.futures.ThreadPoolExecutor(12) as pool:
    for result in pool.map(run, wanted):
        print(json.dumps(result), flush=True)
