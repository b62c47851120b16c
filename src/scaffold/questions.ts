/** What a template may be told; every value is text until it is rendered. */
export type Answers = Readonly<Record<string, string>>;

/** One answer: its flag, how it is asked for, what it is when nobody says, and what it must be. */
export interface Question {
  readonly key: string;
  /** `--flag VALUE`; a template's own questions are answered with `--answer KEY=VALUE`. */
  readonly flag: string;
  readonly prompt: string;
  /** Undefined: there is no sensible default. The answers so far are given. */
  readonly byDefault: (answers: Answers) => string | undefined;
  readonly rule: string;
  readonly test: (value: string) => boolean;
}

/** A question about the runner, which klio-job.yaml has as an option of `pipeline_options`. */
export interface OptionQuestion extends Question {
  /** Its key in `pipeline_options`; undefined for what klio-job.yaml does not have. */
  readonly option: string | undefined;
  readonly type: "text" | "integer" | "list" | "boolean";
}

const topicPattern =
  /^projects\/(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]\/topics\/(?!goog)[A-Za-z][A-Za-z0-9_.~+%-]{2,254}$/;
const topic = {
  rule: "projects/PROJECT_ID/topics/TOPIC_ID; the id has 3 to 255 letters, digits and -_.~+%, a letter first",
  test: (value: string) => topicPattern.test(value),
};
const bucketPattern = /^gs:\/\/[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](?:\/[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*)?$/u;
const bucket = {
  rule: "gs://BUCKET or gs://BUCKET/FOLDER; a bucket has 3 to 63 lower-case letters, digits and -_.",
  test: (value: string) => bucketPattern.test(value),
};
const place = {
  rule: "a path, or gs://BUCKET/NAME, without control characters, without a slash at its end",
  test: (value: string) =>
    /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+$/u.test(value) &&
    value.trim() === value &&
    !value.endsWith("/") &&
    (!value.startsWith("gs://") || bucketPattern.test(value)),
};
const whole = { rule: "a whole number, at least 1", test: (value: string) => /^[1-9]\d{0,5}$/.test(value) };
const truth = {
  rule: "y, yes, true, n, no or false",
  test: (value: string) => /^(?:y|yes|true|n|no|false)$/i.test(value),
};

export const jobNameQuestion: Question = {
  key: "jobName",
  flag: "job-name",
  prompt: "Name of the job",
  byDefault: () => undefined,
  // Its topics are called after it, and no topic's name may begin with goog.
  rule: "lower-case letters, digits and hyphens, a letter first, no hyphen last, at most 63, not beginning with goog",
  test: (value) => /^(?!goog)[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(value),
};

export const projectQuestion: Question = {
  key: "project",
  flag: "gcp-project",
  prompt: "Google Cloud project (for local work it need not exist)",
  byDefault: () => undefined,
  rule: "6 to 30 lower-case letters, digits and hyphens, a letter first, no hyphen last",
  test: (value) => /^(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$/.test(value),
};

const named = (a: Answers) => a["jobName"] ?? "";
const bucketOf = (a: Answers) => (a["project"] ?? "").replaceAll(/[.:]/g, "-");

/** What templates ask besides name and project, in the order in which it is asked. The flags are Klio's. */
export const templateQuestions: readonly Question[] = [
  {
    key: "inputTopic",
    flag: "input-topic",
    prompt: "Topic the job receives from",
    // A job receives what its parent sends.
    byDefault: (a) => a["parentTopic"] ?? `projects/${a["project"]}/topics/${named(a)}-input`,
    ...topic,
  },
  {
    key: "secondInputTopic",
    flag: "second-input-topic",
    prompt: "Second topic the job receives from",
    byDefault: (a) => a["secondParentTopic"] ?? `projects/${a["project"]}/topics/${named(a)}-second-input`,
    ...topic,
  },
  {
    key: "outputTopic",
    flag: "output-topic",
    prompt: "Topic the job sends to",
    byDefault: (a) => `projects/${a["project"]}/topics/${named(a)}-output`,
    ...topic,
  },
  {
    key: "inputLocation",
    flag: "input-data-location",
    prompt: "Where input objects are",
    // What its parent writes is what it reads.
    byDefault: (a) => a["parentLocation"] ?? `gs://${bucketOf(a)}-input/${named(a)}`,
    ...bucket,
  },
  {
    key: "outputLocation",
    flag: "output-data-location",
    prompt: "Where output objects go",
    byDefault: (a) => `gs://${bucketOf(a)}-output/${named(a)}`,
    ...bucket,
  },
  {
    key: "batchEventInput",
    flag: "batch-event-input",
    prompt: "Text file with an element a line",
    byDefault: (a) => `${named(a)}_input_elements.txt`,
    ...place,
  },
  {
    key: "batchEventOutput",
    flag: "batch-event-output",
    prompt: "What the names of text files with processed elements begin with",
    byDefault: (a) => `${named(a)}_output_elements`,
    ...place,
  },
  {
    key: "batchDataInput",
    flag: "batch-data-input",
    prompt: "Folder with input files",
    byDefault: (a) => `${named(a)}-input`,
    ...place,
  },
  {
    key: "batchDataOutput",
    flag: "batch-data-output",
    prompt: "Folder for output files",
    byDefault: (a) => `${named(a)}-output`,
    ...place,
  },
];

const scratch = (a: Answers, what: string) => `gs://${bucketOf(a)}-dataflow-tmp/${named(a)}/${what}`;

/** Options of Dataflow. Those that nobody gives are not written: the defaults of klio-job.yaml hold. */
export const optionQuestions: readonly OptionQuestion[] = [
  {
    key: "region",
    flag: "region",
    prompt: "Region of Google Cloud",
    option: "region",
    type: "text",
    byDefault: () => "europe-west1",
    rule: "a region, e.g. europe-west1",
    test: (value) => /^[a-z]+-[a-z]+\d+$/.test(value),
  },
  {
    key: "useFnapi",
    flag: "use-fnapi",
    prompt: "Use Beam's FnAPI",
    option: undefined,
    type: "boolean",
    byDefault: () => "no",
    ...truth,
  },
  {
    key: "experiments",
    flag: "experiments",
    prompt: "Experiments of Beam, with commas between them",
    option: "experiments",
    type: "list",
    byDefault: () => "",
    rule: "names with commas between them",
    test: (value) => /^(?:[A-Za-z0-9_=.:-]+(?:,[A-Za-z0-9_=.:-]+)*)?$/.test(value),
  },
  {
    key: "numWorkers",
    flag: "num-workers",
    prompt: "Workers at the beginning",
    option: "num_workers",
    type: "integer",
    byDefault: () => "2",
    ...whole,
  },
  {
    key: "maxNumWorkers",
    flag: "max-num-workers",
    prompt: "Workers at most",
    option: "max_num_workers",
    type: "integer",
    byDefault: (a) => a["numWorkers"] ?? "2",
    ...whole,
  },
  {
    key: "autoscalingAlgorithm",
    flag: "autoscaling-algorithm",
    prompt: "Autoscaling",
    option: "autoscaling_algorithm",
    type: "text",
    byDefault: () => "NONE",
    rule: "NONE or THROUGHPUT_BASED",
    test: (value) => value === "NONE" || value === "THROUGHPUT_BASED",
  },
  {
    key: "diskSizeGb",
    flag: "disk-size-gb",
    prompt: "Disk of a worker, in GB",
    option: "disk_size_gb",
    type: "integer",
    byDefault: () => "32",
    ...whole,
  },
  {
    key: "workerMachineType",
    flag: "worker-machine-type",
    prompt: "Machine type of workers",
    option: "worker_machine_type",
    type: "text",
    byDefault: () => "n1-standard-2",
    rule: "a machine type, e.g. n1-standard-2",
    test: (value) => /^[a-z][a-z0-9]*(?:-[a-z0-9]+)+$/.test(value),
  },
  {
    key: "workerImage",
    flag: "worker-image",
    prompt: "Image that is there already (empty: one is built from a Dockerfile)",
    option: "worker_harness_container_image",
    type: "text",
    byDefault: () => "",
    rule: "an image's name without a tag, e.g. gcr.io/my-project/my-job-worker, or nothing",
    // https://github.com/distribution/reference: host[:port]/path
    test: (value) =>
      value === "" ||
      (value.length <= 255 &&
        /^(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/.test(
          value,
        )),
  },
  {
    key: "stagingLocation",
    flag: "staging-location",
    prompt: "Where Dataflow keeps what it stages",
    option: "staging_location",
    type: "text",
    byDefault: (a) => scratch(a, "staging"),
    ...bucket,
  },
  {
    key: "tempLocation",
    flag: "temp-location",
    prompt: "Where Dataflow keeps temporary files",
    option: "temp_location",
    type: "text",
    byDefault: (a) => scratch(a, "temp"),
    ...bucket,
  },
];

/** True, or which rule the answer breaks: the form that prompts take. */
export function checkAnswer(question: Question, value: string): true | string {
  return question.test(value) ? true : `It must be ${question.rule}`;
}

export function isTrue(word: string | undefined): boolean {
  return word !== undefined && /^(?:y|yes|true)$/i.test(word);
}
