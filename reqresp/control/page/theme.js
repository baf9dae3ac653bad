// The theme: as the system has it, light or dark. The choice is remembered.

import { $ } from "./dom.js";

const KEY = "reqresp-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };

function show(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
}

export function startTheme() {
  let theme = localStorage.getItem(KEY);
  if (!(theme in NEXT)) theme = "system";
  show(theme);
  $("theme").addEventListener("click", () => {
    theme = NEXT[theme];
    localStorage.setItem(KEY, theme);
    show(theme);
  });
}
