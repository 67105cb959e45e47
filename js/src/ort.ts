/** What this package uses of onnxruntime-web and onnxruntime-node, which the caller passes. */

import { PhonemoError } from "./errors.ts"

/** A tensor on the CPU. */
export interface OrtTensor {
  readonly data: unknown
  readonly dims: readonly number[]
}

/** An opened network. */
export interface OrtSession {
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  readonly inputMetadata?: readonly unknown[]
  readonly outputMetadata?: readonly unknown[]
  run(feeds: Record<string, any>): Promise<Record<string, any>>
  release?(): Promise<void>
}

/** The module onnxruntime-web or onnxruntime-node. */
export interface Ort {
  InferenceSession: { create(model: any, options?: any): Promise<OrtSession> }
  Tensor: new (type: any, data: any, dims: readonly number[]) => OrtTensor
  env?: any
}

/** A session whose runs wait for each other: onnxruntime-web cannot run two at once. */
export class Session {
  #session: OrtSession
  #turn: Promise<unknown> = Promise.resolve()
  #released: Promise<void> | undefined

  private constructor(session: OrtSession) {
    this.#session = session
  }

  /** Open a network.
   *
   * @param threads threads per run; undefined leaves the choice to onnxruntime. In a browser it counts for
   * the first session of a page.
   */
  static async open(ort: Ort, model: Uint8Array, threads?: number): Promise<Session> {
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
      throw new PhonemoError("UsageError", `expected 1 or more threads, got threads=${threads}`)
    if (threads !== undefined && ort.env?.wasm) ort.env.wasm.numThreads = threads
    const options = { logSeverityLevel: 4, enableMemPattern: false }
    const threaded = threads === undefined ? options : { ...options, intraOpNumThreads: threads }
    try {
      return new Session(await ort.InferenceSession.create(model, threaded))
    } catch (cause) {
      throw new PhonemoError(
        "CheckpointError",
        `onnxruntime cannot open the network (${firstLine(cause)}); update onnxruntime, or export the model again`,
        { cause },
      )
    }
  }

  get inputs(): readonly string[] {
    return this.#session.inputNames
  }

  get outputs(): readonly string[] {
    return this.#session.outputNames
  }

  /** The size of the last axis of an input; null where it is unknown or dynamic. */
  lastAxis(input: string): number | null {
    const metadata = this.#session.inputMetadata?.[this.inputs.indexOf(input)] as { shape?: unknown[] } | undefined
    const size = metadata?.shape?.at(-1)
    return typeof size === "number" ? size : null
  }

  /** Run; `size` describes the input in error messages. */
  async run(feeds: Record<string, OrtTensor>, size: string): Promise<Record<string, OrtTensor>> {
    const result = this.#turn.then(() => this.#session.run(feeds))
    this.#turn = result.catch(() => undefined)
    try {
      return await result
    } catch (cause) {
      throw new PhonemoError(
        "ModelError",
        `onnxruntime fails on ${size} (${firstLine(cause)}); free memory, or export the model again`,
        { cause },
      )
    }
  }

  /** Free the memory, after the runs that wait. */
  release(): Promise<void> {
    this.#released ??= this.#turn.then(() => this.#session.release?.())
    return this.#released
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.trim().split("\n")[0] || "no message"
}
