// Suggests names while somebody types in the search box.
{
  const box = document.getElementById("q");
  const list = document.getElementById("suggestions");
  const heard = document.getElementById("heard");
  const PAUSE = 120; // milliseconds after the last key before the script asks for suggestions
  let timer = 0;
  let asking = new AbortController();

  box.setAttribute("role", "combobox");
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-controls", list.id);
  box.setAttribute("aria-expanded", "false");

  const options = () => [...list.children];
  const chosen = () => list.querySelector("[aria-selected=true]");

  const show = (open) => {
    list.hidden = !open;
    box.setAttribute("aria-expanded", String(open));
    if (open) return;
    choose(null);
    heard.textContent = "";
  };
  const choose = (option) => {
    chosen()?.setAttribute("aria-selected", "false");
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) box.setAttribute("aria-activedescendant", option.id);
    else box.removeAttribute("aria-activedescendant");
  };
  const stop = () => {
    clearTimeout(timer);
    asking.abort();
  };
  const take = (option) => {
    box.value = option.dataset.text;
    box.form.requestSubmit();
  };

  // The only markup of the answer is <em>. The script never parses the answer as HTML.
  const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"' };
  const plain = (html) => html.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(amp|lt|gt|quot));/gi, (_, hex, number, name) =>
    name ? NAMED[name] : String.fromCodePoint(hex ? parseInt(hex, 16) : Number(number)));
  const option = (suggestion, at) => {
    const made = document.createElement("li");
    made.id = "suggestion-" + at;
    made.role = "option";
    made.dir = "auto";
    made.dataset.text = suggestion.text;
    made.setAttribute("aria-selected", "false");
    suggestion.name_html.split(/<\/?em>/).forEach((part, position) => {
      const piece = document.createElement(position % 2 ? "mark" : "span");
      piece.textContent = plain(part);
      made.append(piece);
    });
    return made;
  };
  const ask = async () => {
    asking = new AbortController();
    const words = new URLSearchParams({ q: box.value });
    try {
      const answer = await fetch("images/suggest?" + words, { signal: asking.signal });
      if (!answer.ok) return show(false);
      const { suggestions } = await answer.json();
      choose(null);
      list.replaceChildren(...suggestions.map(option));
      show(suggestions.length > 0);
      heard.textContent = suggestions.length === 1 ? "1 suggestion" : suggestions.length + " suggestions";
    } catch (error) {
      if (error.name !== "AbortError") show(false); // the search itself shows the error
    }
  };

  box.addEventListener("input", () => {
    stop();
    choose(null); // the typed text replaces an earlier choice
    if (box.value.trim()) timer = setTimeout(ask, PAUSE);
    else show(false);
  });
  box.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const all = options();
    const at = all.indexOf(chosen());
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && all.length) {
      event.preventDefault();
      if (list.hidden) show(true);
      // After the last and before the first suggestion comes the search box.
      const step = event.key === "ArrowDown" ? 1 : -1;
      const to = (at + 1 + step + all.length + 1) % (all.length + 1) - 1;
      choose(to < 0 ? null : all[to]);
    } else if (event.key === "Enter" && at >= 0 && !list.hidden) {
      event.preventDefault();
      take(all[at]);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      stop();
      show(false);
    }
  });
  box.addEventListener("blur", () => { stop(); show(false); });
  box.form.addEventListener("submit", stop);
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus in the box
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) take(option);
  });
}
