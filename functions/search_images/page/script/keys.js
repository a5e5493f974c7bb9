// Keys that work anywhere on the page. Users of speech input can turn off `/`.
{
  const box = document.getElementById("q");
  const foot = document.querySelector(".keyboard");
  const slash = foot.querySelector("button");
  const SLASH = "find-images/slash"; // in localStorage: "off" if the user turned the key off

  const works = () => slash.getAttribute("aria-pressed") === "true";
  const turn = (on) => {
    slash.setAttribute("aria-pressed", String(on));
    if (on) box.setAttribute("aria-keyshortcuts", "/");
    else box.removeAttribute("aria-keyshortcuts");
  };
  const memory = (use) => {
    try {
      return use(localStorage);
    } catch {
      return null; // storage is blocked: the setting applies only to this page
    }
  };
  turn(memory((kept) => kept.getItem(SLASH)) !== "off");
  slash.addEventListener("click", () => {
    turn(!works());
    memory((kept) => works() ? kept.removeItem(SLASH) : kept.setItem(SLASH, "off"));
  });
  foot.hidden = false;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = document.activeElement ?? document.body;
    if (event.key === "/" && works() && !at.matches("input, textarea, select")) {
      event.preventDefault();
      box.focus();
      box.select();
    } else if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && at.matches(".card a")) {
      const results = [...document.querySelectorAll(".card a")];
      results[results.indexOf(at) + (event.key === "ArrowRight" ? 1 : -1)]?.focus();
      event.preventDefault();
    }
  });
}
