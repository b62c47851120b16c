/** What a Cloud Storage emulator has to do, each with a case by this name for the Node and for the Python client. */
export interface Capability {
  readonly text: string;
  /** gcloud can do it, too, and has a case for it. */
  readonly gcloud?: true;
  /** fake-gcs-server does otherwise than the documentation says: its case must fail there. */
  readonly peer?: { readonly does: string; readonly documentation: string };
  /** Why there is nothing to compare. */
  readonly ownOnly?: string;
}

const reference = "https://cloud.google.com/storage/docs/json_api/v1";
const docs = "https://cloud.google.com/storage/docs";

export const capabilities = {
  "bucket-create": { text: "creates, gets and deletes a bucket, and says when it exists or is missing", gcloud: true },
  "bucket-list": { text: "lists buckets by prefix, page by page" },
  "bucket-patch": {
    text: "changes labels and versioning of a bucket under a new metageneration",
    gcloud: true,
    peer: { does: "forgets labels", documentation: `${reference}/buckets/patch` },
  },
  "bucket-update": {
    text: "replaces a bucket's settings",
    peer: { does: "does not know the call", documentation: `${reference}/buckets/update` },
  },
  "bucket-preconditions": {
    text: "keeps preconditions on a bucket's metageneration",
    peer: { does: "ignores them", documentation: `${reference}/buckets/patch#parameters` },
  },
  "bucket-not-empty": {
    text: "refuses to delete a bucket with objects",
    gcloud: true,
    peer: { does: "answers 412", documentation: `${reference}/status-codes#409_Conflict` },
  },
  "bucket-names": {
    text: "refuses names that are no bucket's",
    peer: { does: "accepts names of two characters", documentation: `${docs}/buckets#naming` },
  },
  "upload-media": { text: "stores an upload of bytes alone" },
  "upload-multipart": { text: "stores an upload of metadata and bytes in one request", gcloud: true },
  "upload-resumable": {
    text: "stores a resumable upload in one piece",
    gcloud: true,
    peer: { does: "loses the content type", documentation: `${docs}/performing-resumable-uploads#initiate-session` },
  },
  "upload-chunks": { text: "stores a resumable upload in chunks" },
  "upload-resumed": {
    text: "goes on with a resumable upload after a break, from where it was",
    peer: {
      does: "appends bytes that it has already",
      documentation: `${docs}/performing-resumable-uploads#status-check`,
    },
  },
  "upload-status": {
    text: "says how far a resumable upload is, and gives the object once it is done",
    peer: {
      does: "says that a byte is there when none is",
      documentation: `${docs}/performing-resumable-uploads#status-check`,
    },
  },
  "upload-cancelled": {
    text: "forgets a resumable upload that is cancelled",
    peer: {
      does: "goes on with what was cancelled",
      documentation: `${docs}/performing-resumable-uploads#cancel-upload`,
    },
  },
  "upload-gap": {
    text: "refuses a chunk behind bytes that are missing",
    peer: { does: "takes it", documentation: `${docs}/performing-resumable-uploads#chunked-upload` },
  },
  "upload-location": { text: "continues a resumable upload at the host that the request was for" },
  "upload-empty": { text: "stores an object without a byte, either way" },
  "checksums-returned": { text: "computes MD5 and CRC32C of every object", gcloud: true },
  "checksums-verified": {
    text: "refuses bytes that do not match an announced checksum, and keeps nothing",
    peer: { does: "ignores X-Goog-Hash", documentation: `${docs}/data-validation` },
  },
  "download-whole": { text: "gives an object back byte for byte", gcloud: true },
  "download-range": { text: "gives ranges of an object, from either end, and refuses one behind it", gcloud: true },
  "download-headers": {
    text: "sends type, generation, checksums and stored size with an object's bytes",
    peer: {
      does: "leaves out the metageneration",
      documentation: `${docs}/xml-api/reference-headers#xgoogmetageneration`,
    },
  },
  "gzip-unpacked": { text: "unpacks gzip objects for a client that does not take gzip" },
  "gzip-stored": {
    text: "sends gzip objects as stored to who takes gzip, and where nothing may transform them",
    peer: { does: "unpacks in spite of no-transform", documentation: `${docs}/transcoding#decompressive_transcoding` },
  },
  metadata: {
    text: "keeps content headers and custom metadata, and leaves out what is not set",
    gcloud: true,
    peer: { does: "cuts fractions of a second off customTime", documentation: `${docs}/metadata#custom-time` },
  },
  "metadata-patch": {
    text: "changes some metadata under a new metageneration; null takes a key away",
    gcloud: true,
    peer: { does: "sets a key that is null to an empty text", documentation: `${reference}/objects/patch` },
  },
  "metadata-update": {
    text: "replaces all metadata",
    peer: { does: "loses the content type", documentation: `${reference}/objects/update` },
  },
  fields: {
    text: "answers with the fields that were asked for, and refuses what selects none",
    peer: { does: "ignores them", documentation: "https://cloud.google.com/storage/docs/json_api#partial-response" },
  },
  "list-prefix": { text: "lists objects by prefix, in the order of their names' bytes", gcloud: true },
  "list-delimiter": {
    text: "lists what names have in common up to a delimiter",
    gcloud: true,
    peer: {
      does: "takes the first character of the delimiter alone",
      documentation: `${reference}/objects/list#parameters`,
    },
  },
  "list-pages": {
    text: "lists page by page, objects and prefixes, with neither twice",
    peer: { does: "counts no prefixes", documentation: `${reference}/objects/list#parameters` },
  },
  "list-offsets": { text: "lists from a name to before a name" },
  "list-trailing-delimiter": {
    text: "lists objects that end in the delimiter, where asked",
    peer: { does: "does not take True, as Python writes it", documentation: `${reference}/objects/list#parameters` },
  },
  "list-glob": {
    text: "lists by glob pattern, and refuses a malformed one",
    peer: {
      does: "ignores the pattern",
      documentation: `${reference}/objects/list#list-objects-and-prefixes-using-glob`,
    },
  },
  copy: {
    text: "copies an object with its metadata, or with another",
    gcloud: true,
    peer: { does: "copies metadata that the request replaces", documentation: `${reference}/objects/copy` },
  },
  rewrite: { text: "rewrites an object to another bucket" },
  "rewrite-tokens": {
    text: "rewrites a large object over several calls by tokens",
    peer: { does: "rewrites at once", documentation: `${reference}/objects/rewrite#parameters` },
  },
  compose: {
    text: "composes objects to one, with a component count and without MD5",
    gcloud: true,
    peer: { does: "counts no components", documentation: `${docs}/composite-objects` },
  },
  "compose-refused": {
    text: "refuses to compose none, more than 32, or what is missing",
    peer: { does: "composes of nothing", documentation: `${reference}/objects/compose` },
  },
  move: {
    text: "moves an object within its bucket at once",
    peer: { does: "does not know the call", documentation: `${reference}/objects/move` },
  },
  delete: { text: "deletes an object once", gcloud: true },
  "generation-grows": { text: "gives each write a higher generation, also after a delete" },
  "precondition-create": { text: "writes only where there is nothing, if asked to" },
  "precondition-write": {
    text: "writes, patches and deletes only the generation and metageneration that was named",
    peer: { does: "answers 412 where something was not to match", documentation: `${docs}/request-preconditions` },
  },
  "precondition-read": {
    text: "reads only the generation that was named, and says when it is not modified",
    peer: { does: "ignores them", documentation: `${docs}/request-preconditions` },
  },
  "precondition-source": {
    text: "copies, composes and moves only the generation that was named",
    peer: { does: "ignores them", documentation: `${reference}/objects/copy#parameters` },
  },
  "precondition-race": { text: "lets one of many racing writers win" },
  etag: {
    text: "keeps If-Match and If-None-Match",
    peer: { does: "ignores them", documentation: `${docs}/request-preconditions#etags` },
  },
  versions: {
    text: "keeps replaced and deleted objects as versions, where the bucket asks for it",
    gcloud: true,
    peer: {
      does: "deletes a bucket that has old versions",
      documentation: `${reference}/buckets/delete`,
    },
  },
  "versions-deleted": { text: "deletes a version for good by its generation" },
  "versions-restored": {
    text: "makes an old version the live object again by copying it",
    peer: {
      does: "changes the live object in place of the old version",
      documentation: `${reference}/objects/patch#parameters`,
    },
  },
  "soft-delete": {
    text: "keeps deleted objects for a while, lists and restores them, where the bucket asks for it",
    peer: { does: "does not know it", documentation: `${docs}/soft-delete` },
  },
  batch: {
    text: "carries out many calls in one request, each with its own answer",
    peer: { does: "skips parts without Content-ID", documentation: `${docs}/batch` },
  },
  "batch-parts": {
    text: "answers parts without Content-ID in order, and names those that have one",
    peer: { does: "skips parts without Content-ID", documentation: `${docs}/batch` },
  },
  "object-names": { text: "takes every legal object name" },
  "object-names-refused": {
    text: "refuses the names that the service refuses",
    peer: { does: "accepts them", documentation: `${docs}/objects#naming` },
  },
  "path-prefixes": {
    text: "serves the paths with and without /storage/v1",
    peer: { does: "does not serve uploads below /resumable", documentation: `${docs}/json_api` },
  },
  errors: { text: "answers errors in the API's JSON shape" },
  unsupported: {
    text: "answers 501 with the call's name for what it does not support",
    ownOnly: "another emulator supports other things",
  },
} as const satisfies Record<string, Capability>;

export type CapabilityId = keyof typeof capabilities;
