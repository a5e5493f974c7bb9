// Escape closes the filters of a narrow screen, like their link.
{
  const opener = document.getElementById("to-filters");
  const filters = document.getElementById("filters");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !filters?.offsetParent) return;
    if (!opener?.offsetParent) return; // on a wide screen, the filters are always open
    location.hash = opener.id;
    opener.focus();
  });
}
