/** The one class of errors that this package raises on purpose. */
/** An error with a stable `code`: that of an audio error, or the class of the error in Python. */
export class PhonemoError extends Error {
    code;
    /** A message is one line: the expected value, the actual one, the next step. */
    constructor(code, message, options) {
        super(message, options);
        this.name = "PhonemoError";
        this.code = code;
    }
}
