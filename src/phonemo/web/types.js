/**
 * Types shared by the modules of the page.
 *
 * @typedef {{start: number, end: number, label: string, scores: Record<string, number>, unsure?: boolean,
 *   speaker?: string, channel?: number, dimensions?: Dimensions}} Segment
 * @typedef {{arousal: number | null, valence: number | null, dominance?: number, derived: boolean}} Dimensions 0 to 1;
 *   `derived`: from the emotions' scores, not from ratings
 * @typedef {{symbol: string, start: number, end: number, confidence: number, share?: number | null}} Span
 * @typedef {{label: string | null, scores: Record<string, number>, seconds: number, phonemes: string[] | null,
 *   warnings: string[], speech_ratio: number | null, segments: Segment[], spans: Span[] | null,
 *   timings?: Record<string, number>, model?: string, file?: string, profile?: ProfileMark,
 *   channel?: number, channels?: Prediction[], summary?: CallSummary, mixture?: Record<string, number>,
 *   dimensions?: Dimensions}} Prediction `label` is null
 *   without speech; `mixture`: share of time by emotion, largest first, if none has most of it
 * @typedef {{parties: Party[]}} CallSummary
 * @typedef {{start: number, end: number, label: string, score: number}} Moment
 * @typedef {{channel?: number, speaker?: string, seconds: number, speech_share: number | null,
 *   silence_share: number | null, emotions: Record<string, number>, mean_confidence: number | null,
 *   strongest: Moment[], trend: Segment[], change: Record<string, number> | null}} Party
 * @typedef {{body_bytes: number, audio_seconds: number, stream_seconds: number, key_required: boolean,
 *   formats: string[], media: boolean}} Limits
 * @typedef {{hash: string, count: number}} ProfileMark identifies a profile
 * @typedef {{name?: string, text?: string}} AppliedProfile the name of a profile on the server, or its content
 * @typedef {"waiting" | "uploading" | "converting" | "recognizing" | "retrying" | "done" | "failed" | "rejected" |
 *   "cancelled"} State
 * @typedef {{id: number, name: string, blob: Blob, origin: "file" | "recording" | "sample" | "live",
 *   state: State, progress: number, wait: number, prediction: Prediction | null, error: Error | null,
 *   roundTrip: number | null, keptSeconds: number | null, profile: AppliedProfile | null, channels: string,
 *   decoding: string,
 *   converted: Converted | null}} Job
 * @typedef {{onProgress?: (share: number) => void, onSent?: () => void, signal?: AbortSignal}} UploadHandlers
 * @typedef {{profile?: AppliedProfile | null, channels?: string, decoding?: string}} UploadChoices
 * @typedef {{profile: AppliedProfile | null, adapt: boolean, decoding: string}} StreamOptions the profile applied at
 *   the start, whether the profile adapts to the session, and the spoken language, "" for any
 * @typedef {{onReady: (event: any) => void, onWindow: (event: any) => void, onSegment: (event: any) => void,
 *   onFinal: (prediction: Prediction, adaptedProfile: object | null) => void,
 *   onError: (error: Error) => void}} StreamHandlers
 * @typedef {{send: (pcm: Int16Array<ArrayBuffer>) => void, finish: () => boolean, reset: () => void,
 *   close: () => void}} Stream of live mode; `finish`: whether a prediction can be expected
 * @typedef {{start: () => Promise<void>, limits: () => Promise<any>, models: () => Promise<any>,
 *   version: () => Promise<any>, profiles: () => Promise<any>,
 *   createProfile: (blobs: Blob[], signal: AbortSignal) => Promise<{profile: {count: number}, hash: string}>,
 *   recognize: (blob: Blob, name: string, handlers?: UploadHandlers, choices?: UploadChoices) =>
 *     Promise<{text: string, seconds: number}>,
 *   fileText: (job: Job, format: "csv" | "textgrid") => Promise<string>,
 *   openStream: (rate: number, handlers: StreamHandlers, options: StreamOptions) => Stream}} Backend what recognizes:
 *   a server, or this browser
 * @typedef {{blob: Blob, mixed: boolean}} Converted what is sent instead of a file that the server cannot read;
 *   `mixed`: whether its channels were averaged, because all of them would be too large
 */
export {};
