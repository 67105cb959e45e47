// A module runs after the first paint; the remembered theme would flash.
try {
  const theme = localStorage.getItem("phonemo.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is refused: the system's theme holds.
}
