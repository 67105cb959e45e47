/** SHA-256 by the platform. */

import { PhonemoError } from "./errors.ts"

/** The SHA-256 of bytes, 64 hexadecimal digits. */
export async function sha256(content: Uint8Array): Promise<string> {
  const subtle = globalThis.crypto?.subtle
  if (!subtle)
    throw new PhonemoError(
      "UsageError",
      "expected a secure context for checksums, got a page without crypto.subtle; serve it by https or from localhost",
    )
  const digest = await subtle.digest("SHA-256", content as Uint8Array<ArrayBuffer>)
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
}
