// Built as a module of its own, which commands load when they first talk to Cloud Storage.
export { Storage } from "@google-cloud/storage";
