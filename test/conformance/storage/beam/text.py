"""Writes lines in shards, reads them back by a pattern, and writes their count. Prints the versions of what it used."""

import importlib.metadata
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

bucket, runner, lines = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = PipelineOptions([f"--runner={runner}", "--project=conformance-project", f"--temp_location=gs://{bucket}/tmp"])
with beam.Pipeline(options=options) as pipeline:
    (
        pipeline
        | beam.Create([f"line {i}" for i in range(lines)])
        | beam.io.WriteToText(f"gs://{bucket}/lines/text", num_shards=3, file_name_suffix=".txt")
    )
with beam.Pipeline(options=options) as pipeline:
    (
        pipeline
        | beam.io.ReadFromText(f"gs://{bucket}/lines/text-*.txt")
        | beam.combiners.Count.Globally()
        | beam.io.WriteToText(f"gs://{bucket}/count", shard_name_template="")
    )
print({name: importlib.metadata.version(name) for name in ("apache-beam", "google-cloud-storage")})
