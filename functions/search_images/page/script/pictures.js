// A loaded picture covers the placeholder. If loading fails, the placeholder stays.
{
  const judge = (picture) => {
    if (picture.naturalWidth) picture.dataset.shown = "";
    else picture.hidden = true;
  };
  for (const picture of document.querySelectorAll(".frame img")) {
    if (picture.complete && picture.currentSrc) judge(picture);
    picture.addEventListener("load", () => judge(picture));
    picture.addEventListener("error", () => judge(picture));
  }
}
