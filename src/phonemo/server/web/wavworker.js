/** Worker: writes WAV files. */

import { wavOf } from "./pcm.js";

addEventListener("message", ({ data }) => {
  postMessage(wavOf(data.channels, data.rate, data.mix));
});
