// Stands in bundles for the package abort-controller, as Node's own.
class Native extends AbortController {}
module.exports = Object.assign(Native, { AbortController: Native, AbortSignal, default: Native });
