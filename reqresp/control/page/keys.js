// What keys do. It must not know how.

const SCROLLING = /^(Arrow|Page|Home|End)/;

/**
 * Call the function of *actions* that has the name of the pressed key.
 *
 * A key that is typed into a field, or that a button takes, is left alone; Escape leaves the field.
 */
export function startKeys(actions) {
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target.matches("input[type=search]") && key === "Escape") {
      actions.Escape();
      event.preventDefault();
      return;
    }
    if (target.matches("input, textarea, select")) {
      if (key === "Escape") actions.leave();
      return;
    }
    if (["Enter", " "].includes(key) && target.closest("button, summary, a")) return;
    // In a part that scrolls, they scroll.
    if (SCROLLING.test(key) && target.closest(".detail, .services")) return;
    const action = actions[key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}
