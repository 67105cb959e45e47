/** Microphone input as 16-bit chunks. */

import { endpoint } from "./endpoint.js";
import { LocalizedError } from "./problems.js";

const FLUSH_TIMEOUT_MS = 400;
const ERROR_KEYS = {
  NotAllowedError: "mic.denied",
  SecurityError: "mic.denied",
  NotFoundError: "mic.missing",
  OverconstrainedError: "mic.missing",
  NotReadableError: "mic.busy",
  AbortError: "mic.busy",
};
// Gain control and noise suppression change loudness and roughness, which carry emotion.
const RAW_AUDIO = {
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
 * @param {() => void} onLost called when the device is disconnected
 * @returns {Promise<Microphone>}
 */
export async function openMicrophone(onChunk, onLost) {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new LocalizedError("mic.insecure");
  const stream = await navigator.mediaDevices.getUserMedia({ audio: RAW_AUDIO }).catch(rethrowLocalized);
  for (const track of stream.getTracks()) track.addEventListener("ended", onLost);
  try {
    return await connectWorklet(stream, onChunk);
  } catch (error) {
    release(stream);
    return rethrowLocalized(error);
  }
}

/** @param {any} error @returns {never} */
function rethrowLocalized(error) {
  const key = ERROR_KEYS[/** @type {keyof typeof ERROR_KEYS} */ (error.name)];
  throw new LocalizedError(key ?? "mic.failed", { message: error.message });
}

/** @param {MediaStream} stream */
function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** @param {MediaStream} stream @param {(chunk: Chunk) => void} onChunk @returns {Promise<Microphone>} */
async function connectWorklet(stream, onChunk) {
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule(String(endpoint("web/pcm-worklet.js")));
    await context.resume();
  } catch (error) {
    await context.close();
    throw error;
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
    setTimeout(resolve, FLUSH_TIMEOUT_MS);
  });
  worklet.port.onmessage = null;
  release(stream);
  if (context.state !== "closed") await context.close();
}
