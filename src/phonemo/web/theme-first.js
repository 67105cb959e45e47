// Runs before the first paint, unlike a module, so that the saved theme does not flash.
try {
  const theme = localStorage.getItem("phonemo.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: use the system's theme.
}
