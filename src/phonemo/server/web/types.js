/**
 * Types shared by the modules of the page.
 *
 * @typedef {{start: number, end: number, label: string, scores: Record<string, number>, speaker?: string}} Segment
 * @typedef {{symbol: string, start: number, end: number, confidence: number, share?: number | null}} Span
 * @typedef {{label: string, scores: Record<string, number>, seconds: number, phonemes: string[] | null,
 *   warnings: string[], speech_ratio: number | null, segments: Segment[], spans: Span[] | null,
 *   timings?: Record<string, number>, model?: string, file?: string, profile?: ProfileMark}} Prediction
 * @typedef {{body_bytes: number, audio_seconds: number, stream_seconds: number, key_required: boolean}} Limits
 * @typedef {{hash: string, count: number}} ProfileMark identifies a profile
 * @typedef {{name?: string, text?: string}} AppliedProfile the name of a profile on the server, or its content
 * @typedef {"waiting" | "uploading" | "recognizing" | "retrying" | "done" | "failed" | "rejected" | "cancelled"} State
 * @typedef {{id: number, name: string, blob: Blob, origin: "file" | "recording" | "sample" | "live",
 *   state: State, progress: number, wait: number, prediction: Prediction | null, error: Error | null,
 *   roundTrip: number | null, keptSeconds: number | null, profile: AppliedProfile | null}} Job
 */
export {};
