// Search: intersections by name and id, vehicles and tracks in view, lanes, movements and signal groups.

import { make } from "./dom.js";

const MAX_FOUND = 12;

export class Search {
  /** `candidates()` returns [{ label, hint, go() }]: what can be found now. */
  constructor(candidates) {
    this.input = document.getElementById("search");
    this.list = document.getElementById("results");
    this.candidates = candidates;
    this.found = [];
    this.chosen = -1;
    this.input.addEventListener("input", () => this.look());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => setTimeout(() => this.close(), 150)); // a press on a result comes first
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  look() {
    const wanted = this.input.value.trim().toLowerCase();
    const matching = wanted ? this.candidates().filter(({ label, hint }) => `${label} ${hint}`.toLowerCase().includes(wanted)) : [];
    matching.sort((a, b) => rank(a.label, wanted) - rank(b.label, wanted) || a.label.length - b.label.length);
    this.found = matching.slice(0, MAX_FOUND);
    this.chosen = this.found.length ? 0 : -1;
    this.show();
  }

  show() {
    this.list.replaceChildren(...this.found.map((row, k) =>
      make(
        "li", { role: "option", id: `result-${k}`, "aria-selected": String(k === this.chosen), on: { pointerdown: () => this.take(k) } },
        make("b", { text: row.label }), make("small", { text: row.hint }),
      )));
    this.list.hidden = !this.found.length;
    this.input.setAttribute("aria-expanded", String(Boolean(this.found.length)));
    if (this.chosen >= 0) this.input.setAttribute("aria-activedescendant", `result-${this.chosen}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (event.key === "Escape") {
      this.input.value = "";
      this.close();
      this.input.blur();
    } else if (event.key === "Enter" && this.chosen >= 0) {
      this.take(this.chosen);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.chosen = (this.chosen + step + this.found.length) % Math.max(this.found.length, 1);
      this.show();
    }
  }

  take(number) {
    const row = this.found[number];
    this.input.value = "";
    this.close();
    this.input.blur();
    row?.go();
  }

  close() {
    this.found = [];
    this.chosen = -1;
    this.show();
  }
}

function rank(label, wanted) {
  const place = label.toLowerCase().indexOf(wanted);
  return place < 0 ? 1000 : place;
}
