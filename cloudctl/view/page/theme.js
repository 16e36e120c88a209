// Dark and light: the system's choice until the switch is used. Colours of the drawing are the page's own CSS variables.

const NAMES = [
  "ground", "road", "bike", "walk", "bus", "tram", "edge", "stripe", "ink", "muted", "paper", "line", "accent",
  "red", "yellow", "green", "off", "car", "heavy", "cycle", "pedestrian", "connected", "unknown", "outline",
  "severe", "soon", "hint", "good", "degraded", "quiet",
];

const system = matchMedia("(prefers-color-scheme: dark)");

export class Theme {
  constructor(onChange) {
    this.onChange = onChange;
    this.chosen = stored("theme");
    system.addEventListener("change", () => this.apply());
    this.apply();
  }

  get dark() {
    return this.chosen ? this.chosen === "dark" : system.matches;
  }

  toggle() {
    const wanted = this.dark ? "light" : "dark";
    this.chosen = (wanted === "dark") === system.matches ? null : wanted; // back to the system's own choice: it is followed again
    store("theme", this.chosen ?? "");
    this.apply();
  }

  apply() {
    document.documentElement.dataset.theme = this.dark ? "dark" : "light";
    const style = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.onChange();
  }
}

/** Read what the page has kept; a browser that keeps nothing for pages has nothing. */
export function stored(name) {
  try {
    return localStorage.getItem(`cloudctl.${name}`);
  } catch {
    return null;
  }
}

export function store(name, value) {
  try {
    localStorage.setItem(`cloudctl.${name}`, value);
  } catch {
    // A page without storage works all the same: it forgets its theme.
  }
}
