/**
 * The shapes that travel through the page.
 *
 * @typedef {{start: number, end: number, label: string, scores: Record<string, number>, speaker?: string}} Segment
 * @typedef {{symbol: string, start: number, end: number, confidence: number, share?: number | null}} Span
 * @typedef {{label: string, scores: Record<string, number>, seconds: number, phonemes: string[] | null,
 *   warnings: string[], speech_ratio: number | null, segments: Segment[], spans: Span[] | null,
 *   timings?: Record<string, number>, model?: string, file?: string, profile?: Mark}} Answer
 * @typedef {{body_bytes: number, audio_seconds: number, stream_seconds: number, key_required: boolean}} Limits
 * @typedef {{hash: string, count: number}} Mark names a profile
 * @typedef {{name?: string, text?: string}} Applied a profile: the name of one that is offered, or its content
 * @typedef {"waiting" | "uploading" | "listening" | "retrying" | "done" | "failed" | "unfit" | "cancelled"} State
 * @typedef {{id: number, name: string, blob: Blob, origin: "file" | "recording" | "sample" | "live",
 *   state: State, progress: number, wait: number, answer: Answer | null, problem: Error | null,
 *   roundTrip: number | null, kept: number | null, profile: Applied | null}} Job
 */
export {};
