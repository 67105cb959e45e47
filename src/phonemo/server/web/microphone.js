/** The microphone as 16-bit chunks. */

import { endpoint } from "./api.js";
import { Problem } from "./problems.js";

const FLUSH_MS = 400;
const REFUSALS = {
  NotAllowedError: "mic.denied",
  SecurityError: "mic.denied",
  NotFoundError: "mic.missing",
  OverconstrainedError: "mic.missing",
  NotReadableError: "mic.busy",
  AbortError: "mic.busy",
};
// Gain control and noise suppression change how loud and how rough a voice is: what emotion sounds like.
const AS_IT_IS = {
  channelCount: 1,
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
};

/**
 * @typedef {{pcm: Int16Array<ArrayBuffer>, peak: number}} Chunk
 * @typedef {{rate: number, stop: () => Promise<void>}} Microphone
 *
 * @param {(chunk: Chunk) => void} onChunk
 * @param {() => void} onLost called when the device goes away
 * @returns {Promise<Microphone>}
 */
export async function openMicrophone(onChunk, onLost) {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new Problem("mic.insecure");
  const stream = await navigator.mediaDevices.getUserMedia({ audio: AS_IT_IS }).catch(refuse);
  for (const track of stream.getTracks()) track.addEventListener("ended", onLost);
  try {
    return await listen(stream, onChunk);
  } catch (problem) {
    release(stream);
    return refuse(problem);
  }
}

/** @param {any} problem @returns {never} */
function refuse(problem) {
  const key = REFUSALS[/** @type {keyof typeof REFUSALS} */ (problem.name)];
  throw new Problem(key ?? "mic.failed", { message: problem.message });
}

/** @param {MediaStream} stream */
function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** @param {MediaStream} stream @param {(chunk: Chunk) => void} onChunk @returns {Promise<Microphone>} */
async function listen(stream, onChunk) {
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule(String(endpoint("web/pcm-worklet.js")));
    await context.resume();
  } catch (problem) {
    await context.close();
    throw problem;
  }
  const worklet = new AudioWorkletNode(context, "phonemo-pcm", { numberOfOutputs: 0 });
  context.createMediaStreamSource(stream).connect(worklet);
  worklet.port.onmessage = ({ data }) => data && onChunk(data);
  const stop = () => close(stream, context, worklet, onChunk);
  return { rate: context.sampleRate, stop };
}

/**
 * @param {MediaStream} stream
 * @param {AudioContext} context
 * @param {AudioWorkletNode} worklet
 * @param {(chunk: Chunk) => void} onChunk
 */
async function close(stream, context, worklet, onChunk) {
  await new Promise((resolve) => {
    worklet.port.onmessage = ({ data }) => (data ? onChunk(data) : resolve(undefined));
    worklet.port.postMessage("flush");
    setTimeout(resolve, FLUSH_MS);
  });
  worklet.port.onmessage = null;
  release(stream);
  if (context.state !== "closed") await context.close();
}
