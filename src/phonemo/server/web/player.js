/** Plays a recording, whole or a stretch of it. */

/** Emits "change" when it starts, stops, moves or cannot play. */
export class Player extends EventTarget {
  #audio = new Audio();
  #address = "";
  #until = Infinity;
  playable = false;

  constructor() {
    super();
    this.#audio.preload = "auto";
    for (const name of ["play", "pause", "ended", "seeked"])
      this.#audio.addEventListener(name, () => this.#tell());
    this.#audio.addEventListener("timeupdate", () => this.#watch());
    this.#audio.addEventListener("loadedmetadata", () => this.#opened(true));
    this.#audio.addEventListener("error", () => this.#opened(false));
  }

  get time() {
    return this.#audio.currentTime;
  }

  get playing() {
    return !this.#audio.paused && !this.#audio.ended;
  }

  /** @param {Blob} blob */
  load(blob) {
    this.unload();
    this.#address = URL.createObjectURL(blob);
    this.#audio.src = this.#address;
  }

  unload() {
    this.#audio.pause();
    this.playable = false;
    this.#until = Infinity;
    if (!this.#address) return;
    URL.revokeObjectURL(this.#address);
    this.#address = "";
    this.#audio.removeAttribute("src");
    this.#audio.load();
  }

  toggle() {
    if (this.playing) this.#audio.pause();
    else this.#play(Infinity);
  }

  /** @param {number} start @param {number} end seconds */
  stretch(start, end) {
    this.seek(Math.max(0, start));
    this.#play(end);
  }

  /** @param {number} seconds */
  seek(seconds) {
    if (!this.playable) return;
    this.#until = Infinity;
    this.#audio.currentTime = Math.max(0, Math.min(seconds, this.#audio.duration || seconds));
  }

  pause() {
    this.#audio.pause();
  }

  /** @param {number} until */
  #play(until) {
    if (!this.playable) return;
    this.#until = until;
    this.#audio.play().catch(() => this.#tell());
  }

  /** @param {boolean} playable */
  #opened(playable) {
    if (!this.#address) return;
    this.playable = playable;
    this.#tell();
  }

  #watch() {
    if (this.time >= this.#until) this.#audio.pause();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
    if (this.playing) requestAnimationFrame(() => this.#frame());
  }

  #frame() {
    if (!this.playing) return;
    this.#watch();
    this.dispatchEvent(new Event("time"));
    requestAnimationFrame(() => this.#frame());
  }
}
