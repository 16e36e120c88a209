// Making elements. Text only ever goes in as text: names and reasons come from strangers.

/** Return an element with properties (`class`, `text`, `on`, others as attributes) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, action] of Object.entries(value)) element.addEventListener(event, action);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Make a container show `rows` in their order, keeping the elements of rows that stay, and with them focus and selection. */
export function reconcile(container, rows, keyOf, build) {
  const kept = new Map([...container.children].map((child) => [child.dataset.key, child]));
  let place = null;
  for (const row of rows) {
    const key = String(keyOf(row));
    let element = kept.get(key);
    if (element) kept.delete(key);
    else {
      element = build(row);
      element.dataset.key = key;
    }
    const next = place ? place.nextSibling : container.firstChild;
    if (element !== next) container.insertBefore(element, next);
    place = element;
  }
  for (const gone of kept.values()) gone.remove();
}

/** Put text into an element where it is another than what stands there. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a table with a caption for those who do not see it, of heads and rows of texts or elements. */
export function table(caption, heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { text, scope: "col" })));
  const body = rows.map((cells) =>
    make("tr", {}, ...cells.map((cell, column) => {
      const tag = column === 0 ? "th" : "td";
      const properties = column === 0 ? { scope: "row" } : {};
      return cell instanceof Node ? make(tag, properties, cell) : make(tag, { ...properties, text: cell });
    })),
  );
  return make("table", {}, make("caption", { class: "hidden", text: caption }), make("thead", {}, head), make("tbody", {}, ...body));
}

/** Return a number with so many digits, "–" where there is none. */
export function figure(value, digits = 1) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits);
}

/** Return the time of day (UTC) of ms since 1970. */
export function timeOfDay(t, digits = 3) {
  const text = new Date(t).toISOString().slice(11, 23);
  return digits === 0 ? text.slice(0, 8) : text.slice(0, 9 + digits);
}
