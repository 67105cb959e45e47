/** Runs on the audio thread: collects 0.1 s of 16-bit mono audio and posts it. */

class PcmProcessor extends AudioWorkletProcessor {
  #buffer = new Int16Array(Math.round(sampleRate / 10));
  #count = 0;
  #peak = 0;
  #isEnded = false;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.#post();
      this.#isEnded = true;
      this.port.postMessage(null);
    };
  }

  /** @param {Float32Array[][]} inputs @returns {boolean} */
  process(inputs) {
    const channels = inputs[0];
    if (!this.#isEnded && channels.length) this.#append(channels);
    return !this.#isEnded;
  }

  /** @param {Float32Array[]} channels */
  #append(channels) {
    for (let index = 0; index < channels[0].length; index += 1) {
      let sample = 0;
      for (const channel of channels) sample += channel[index] / channels.length;
      this.#peak = Math.max(this.#peak, Math.abs(sample));
      this.#buffer[this.#count++] = Math.max(-1, Math.min(1, sample)) * 0x7fff;
      if (this.#count === this.#buffer.length) this.#post();
    }
  }

  #post() {
    if (!this.#count) return;
    const pcm = this.#buffer.slice(0, this.#count);
    this.port.postMessage({ pcm, peak: this.#peak }, [pcm.buffer]);
    this.#count = 0;
    this.#peak = 0;
  }
}

registerProcessor("phonemo-pcm", PcmProcessor);
