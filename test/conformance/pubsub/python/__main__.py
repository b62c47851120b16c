"""Runs all cases against the emulator that PUBSUB_EMULATOR_HOST names; prints a line of JSON for each."""

import concurrent.futures
import importlib.metadata
import json
import os
import sys
import traceback

import delivery  # noqa: F401
import policies  # noqa: F401
import push  # noqa: F401
import replay  # noqa: F401
import resources  # noqa: F401
from harness import CASES, Context

context = Context(os.environ["PUBSUB_EMULATOR_HOST"])


def run(name):
    try:
        CASES[name](context)
        return {"case": name, "passed": True}
    except Exception as error:  # whatever it is, it is this case's result
        place = traceback.extract_tb(error.__traceback__)
        where = [f"{os.path.basename(f.filename)}:{f.lineno}" for f in place if "conformance" in f.filename]
        return {"case": name, "passed": False, "error": f"{type(error).__name__}: {error}", "where": where}


print(json.dumps({"client": importlib.metadata.version("google-cloud-pubsub")}), flush=True)
wanted = sys.argv[1:] or list(CASES)
with concurrent.futures.ThreadPoolExecutor(12) as pool:
    for result in pool.map(run, wanted):
        print(json.dumps(result), flush=True)
os._exit(0)  # threads of streams that were never read to their end must not keep it
