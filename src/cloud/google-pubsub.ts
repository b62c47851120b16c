// Built as a module of its own, which commands load when they first talk to Pub/Sub.
export { PublisherClient, SubscriberClient } from "@google-cloud/pubsub/build/src/v1/index.js";
export { GoogleAuth, grpc } from "google-gax";
