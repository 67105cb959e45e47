/** Runs on the audio thread: gathers a tenth of a second of 16-bit mono and posts it. */

class Pcm extends AudioWorkletProcessor {
  #held = new Int16Array(Math.round(sampleRate / 10));
  #count = 0;
  #peak = 0;
  #ended = false;

  constructor() {
    super();
    this.port.onmessage = () => {
      this.#post();
      this.#ended = true;
      this.port.postMessage(null);
    };
  }

  /** @param {Float32Array[][]} inputs @returns {boolean} */
  process(inputs) {
    const channels = inputs[0];
    if (!this.#ended && channels.length) this.#take(channels);
    return !this.#ended;
  }

  /** @param {Float32Array[]} channels */
  #take(channels) {
    for (let at = 0; at < channels[0].length; at += 1) {
      let sample = 0;
      for (const channel of channels) sample += channel[at] / channels.length;
      this.#peak = Math.max(this.#peak, Math.abs(sample));
      this.#held[this.#count++] = Math.max(-1, Math.min(1, sample)) * 0x7fff;
      if (this.#count === this.#held.length) this.#post();
    }
  }

  #post() {
    if (!this.#count) return;
    const pcm = this.#held.slice(0, this.#count);
    this.port.postMessage({ pcm, peak: this.#peak }, [pcm.buffer]);
    this.#count = 0;
    this.#peak = 0;
  }
}

registerProcessor("phonemo-pcm", Pcm);
