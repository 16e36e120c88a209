// Time: a recording is played, paused and sought at the node; of a live picture the last minute is kept here, to look back at.

import { make, setText, timeOfDay } from "./dom.js";

const STEPS = 1000; // of the slider
const BACK_MS = 5000;
const SEEK_EVERY_MS = 120; // while the slider is dragged

const element = (name) => document.getElementById(name);

export class Player {
  /** `ask(request)` reaches the node; `onChange()` is called when another picture is to be shown. */
  constructor(store, ask, onChange) {
    this.store = store;
    this.ask = ask;
    this.onChange = onChange;
    this.frozen = null; // ms; of a live picture that is looked back at
    this.dragging = false;
    this.sought = 0;
    element("play").addEventListener("click", () => this.toggle());
    element("step").addEventListener("click", () => this.step());
    element("now").addEventListener("click", () => this.toNow());
    element("speed").addEventListener("change", (event) => this.ask({ speed: Number(event.target.value) }));
    element("exact").addEventListener("change", (event) => this.ask({ exact: event.target.checked }));
    element("seek").addEventListener("input", (event) => this.slide(Number(event.target.value)));
    element("seek").addEventListener("change", (event) => this.slide(Number(event.target.value), true));
  }

  get recorded() {
    return this.store.mode === "recording";
  }

  get playing() {
    return this.recorded ? Boolean(this.store.player?.playing) : this.frozen === null;
  }

  /** Return the time span (ms) that the slider stands for. */
  span(index) {
    if (this.recorded) return [this.store.player?.begin ?? 0, this.store.player?.end ?? 1];
    const kept = this.store.history.get(index) ?? [];
    return kept.length ? [kept[0].t, kept[kept.length - 1].t] : [0, 0];
  }

  toggle() {
    if (this.recorded) return this.ask({ play: !this.playing });
    const [, newest] = this.span(this.index);
    this.frozen = this.frozen === null ? newest : null;
    return this.onChange();
  }

  step() {
    if (this.recorded) return this.ask({ step: 1 });
    return this.goTo((this.frozen ?? this.span(this.index)[1]) + 100);
  }

  back() {
    const t = this.recorded ? this.store.player?.t : (this.frozen ?? this.span(this.index)[1]);
    this.goTo(t - BACK_MS);
  }

  toNow() {
    if (this.recorded) return this.goTo(this.span()[1]);
    this.frozen = null;
    return this.onChange();
  }

  slide(value, done = false) {
    const [begin, end] = this.span(this.index);
    const now = performance.now();
    if (!done && this.recorded && now - this.sought < SEEK_EVERY_MS) return;
    this.sought = now;
    this.goTo(begin + ((end - begin) * value) / STEPS);
  }

  goTo(t) {
    const [begin, end] = this.span(this.index);
    const within = Math.min(Math.max(t, begin), end);
    if (this.recorded) return this.ask({ seek: within });
    this.frozen = within;
    return this.onChange();
  }

  /** Show where the picture stands: `t` ms, of an intersection. */
  show(t, index) {
    this.index = index;
    const [begin, end] = this.span(index);
    const play = element("play");
    setText(play, this.playing ? "❚❚" : "▶");
    play.setAttribute("aria-label", this.playing ? "Pause" : "Go on");
    const seek = element("seek");
    const share = end > begin ? Math.round(((t - begin) / (end - begin)) * STEPS) : STEPS;
    if (document.activeElement !== seek || this.playing) seek.value = Math.min(Math.max(share, 0), STEPS);
    seek.setAttribute("aria-valuetext", t ? `${timeOfDay(t, 0)} UTC` : "live");
    setText(element("position"), this.words(t, begin, end));
    element("now").hidden = this.recorded || this.frozen === null;
    for (const name of ["speed", "exact-label", "step"]) element(name).hidden = !this.recorded && name !== "step";
    this.proof();
  }

  words(t, begin, end) {
    if (this.recorded) return `${duration(t - begin)} / ${duration(end - begin)}`;
    return this.frozen === null ? "live" : `${((t - end) / 1000).toFixed(1)} s`;
  }

  proof() {
    const player = this.store.player;
    if (!player) return;
    element("exact").checked = player.exact;
    if (document.activeElement !== element("speed")) element("speed").value = String(player.speed);
    setText(element("proof"), player.words ?? "");
    element("proof").className = player.trouble ? "trouble" : "";
  }
}

function duration(ms) {
  const seconds = Math.max(Math.floor(ms / 1000), 0);
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes}:${String(seconds % 60).padStart(2, "0")}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Return options for a select of intersections. */
export function options(intersections) {
  return intersections.map(({ name, id }, index) => make("option", { value: String(index), text: name, title: id }));
}
