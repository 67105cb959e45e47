/** Frame timing of a stack of unpadded convolutions. */

export const RATE = 16_000
/** The shortest usable clip, in samples. */
export const FRAME_SAMPLES = 400

/** Frame n covers `fieldSamples` samples from n * `hopSamples` on; positions count hops. */
export class FrameGrid {
  readonly fieldSamples: number
  readonly hopSamples: number

  constructor(fieldSamples: number, hopSamples: number) {
    this.fieldSamples = fieldSamples
    this.hopSamples = hopSamples
  }

  /** The grid of convolutions, first to last. */
  static of(kernels: readonly number[], strides: readonly number[]): FrameGrid {
    let field = 1
    for (let layer = kernels.length - 1; layer >= 0; layer--)
      field = (field - 1) * strides[layer] + kernels[layer]
    return new FrameGrid(
      field,
      strides.reduce((product, stride) => product * stride, 1),
    )
  }

  /** The (fractional) sample of a position. */
  sampleAt(position: number): number {
    return (position - 0.5) * this.hopSamples + this.fieldSamples / 2
  }
}
