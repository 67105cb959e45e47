/** The one class of errors that this package raises on purpose. */

/** An error with a stable `code`: that of an audio error, or the class of the error in Python. */
export class PhonemoError extends Error {
  readonly code: string

  /** A message is one line: the expected value, the actual one, the next step. */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "PhonemoError"
    this.code = code
  }
}
