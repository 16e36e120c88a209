// The keyboard. Keys are left alone while something is typed, and on a control that uses them itself.

/** Listen for keys; `actions` maps a key, as `KeyboardEvent.key` names it in lower case, to what it does. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
    const target = event.target;
    const typing = target.matches("input[type=search], textarea");
    const own = target.matches("select, input[type=range]") && (event.key.startsWith("Arrow") || ["Home", "End", " "].includes(event.key));
    const pressed = target.matches("button, summary, input[type=checkbox]") && [" ", "Enter"].includes(event.key);
    const scrolled = target.matches(".scroll, .wide") && event.key.startsWith("Arrow");
    if (typing || own || pressed || scrolled || (target.matches("select") && event.key.length === 1)) return;
    const action = actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
