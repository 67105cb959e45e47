/** Settings of this visit, in memory only. */

export const session = {
  key: "",
  model: "",
  /** @type {import("./types.js").AppliedProfile | null} applied to recordings */
  profile: null,
  /** "mix" or "split": what recordings are first recognized with */
  channels: "mix",
  /** spoken language of recordings, by which their phonemes are decoded; "" for any */
  decoding: "",
};
