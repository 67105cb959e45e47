/** Plays a recording, or a range of it. */

/** Emits "change" when it starts, stops, seeks or cannot play, and "time" on each frame while it plays. */
export class Player extends EventTarget {
  #audio = new Audio();
  #url = "";
  #stopAt = Infinity;
  playable = false;

  constructor() {
    super();
    this.#audio.preload = "auto";
    for (const name of ["play", "pause", "ended", "seeked"])
      this.#audio.addEventListener(name, () => this.#emitChange());
    this.#audio.addEventListener("timeupdate", () => this.#checkEnd());
    this.#audio.addEventListener("loadedmetadata", () => this.#setPlayable(true));
    this.#audio.addEventListener("error", () => this.#setPlayable(false));
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
    this.#url = URL.createObjectURL(blob);
    this.#audio.src = this.#url;
  }

  unload() {
    this.#audio.pause();
    this.playable = false;
    this.#stopAt = Infinity;
    if (!this.#url) return;
    URL.revokeObjectURL(this.#url);
    this.#url = "";
    this.#audio.removeAttribute("src");
    this.#audio.load();
  }

  toggle() {
    if (this.playing) this.#audio.pause();
    else this.#play(Infinity);
  }

  /** @param {number} start @param {number} end seconds */
  playRange(start, end) {
    this.seek(Math.max(0, start));
    this.#play(end);
  }

  /** @param {number} seconds */
  seek(seconds) {
    if (!this.playable) return;
    this.#stopAt = Infinity;
    this.#audio.currentTime = Math.max(0, Math.min(seconds, this.#audio.duration || seconds));
  }

  pause() {
    this.#audio.pause();
  }

  /** @param {number} end seconds */
  #play(end) {
    if (!this.playable) return;
    this.#stopAt = end;
    this.#audio.play().catch(() => this.#emitChange());
  }

  /** @param {boolean} playable */
  #setPlayable(playable) {
    if (!this.#url) return;
    this.playable = playable;
    this.#emitChange();
  }

  #checkEnd() {
    if (this.time >= this.#stopAt) this.#audio.pause();
  }

  #emitChange() {
    this.dispatchEvent(new Event("change"));
    if (this.playing) requestAnimationFrame(() => this.#onFrame());
  }

  #onFrame() {
    if (!this.playing) return;
    this.#checkEnd();
    this.dispatchEvent(new Event("time"));
    requestAnimationFrame(() => this.#onFrame());
  }
}
