// A button that copies the link to this image. Without it, the link itself is there.
for (const link of document.querySelectorAll("a[data-copied]")) {
  if (!navigator.clipboard) break; // only a secure page has one
  const button = document.createElement("button");
  button.type = "button";
  button.className = "switch";
  button.textContent = "Copy link";
  const say = (text) => {
    button.textContent = text;
    document.getElementById("heard").textContent = text;
  };
  button.addEventListener("click", () => navigator.clipboard.writeText(link.href)
    .then(() => say("Link copied"), () => say("Copying is not allowed here")));
  link.after(button);
}
