"""Download, hash, upload, publish: the job of bench/jobs/pipeline on Beam's DirectRunner. Prints `ready`.

Of the runners that Beam's DirectRunner chooses from, this is the one that reads Pub/Sub; named, so that no other is fetched first."""

import argparse
import hashlib
import os
import sys
import threading

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from google.cloud import storage

parser = argparse.ArgumentParser()
for name in ("project", "queue", "inputs", "outputs"):
    parser.add_argument(f"--{name}", required=True)
known = parser.parse_args()


class Hash(beam.DoFn):
    """The client is made once for each instance, as Beam's guide advises for what is dear to make."""

    def setup(self):
        client = storage.Client(project=known.project)
        self.inputs, self.outputs = client.bucket(known.inputs), client.bucket(known.outputs)

    def process(self, element):
        name = element.decode()
        digest = hashlib.sha256(self.inputs.blob(name).download_as_bytes()).hexdigest()
        self.outputs.blob(f"{known.queue}/{name}").upload_from_string(digest, content_type="text/plain")
        yield digest.encode()


def end_with_parent():
    sys.stdin.read()
    os._exit(1)


threading.Thread(target=end_with_parent, daemon=True).start()
print("ready", flush=True)
with beam.Pipeline(options=PipelineOptions(["--runner=BundleBasedDirectRunner", f"--project={known.project}", "--streaming"])) as pipeline:
    (
        pipeline
        | beam.io.ReadFromPubSub(subscription=f"projects/{known.project}/subscriptions/{known.queue}")
        | beam.ParDo(Hash())
        | beam.io.WriteToPubSub(f"projects/{known.project}/topics/{known.queue}-out")
    )
