/** Version of this runtime; equal to its package's. */
export const runtimeVersion = "0.1.0";
