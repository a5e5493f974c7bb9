// If a picture does not load, the words behind it say so.
{
  const judge = (picture) => {
    const missing = !picture.naturalWidth;
    picture.hidden = missing;
    picture.previousElementSibling.hidden = !missing;
  };
  for (const picture of document.querySelectorAll(".frame img")) {
    if (picture.complete && picture.currentSrc) judge(picture);
    picture.addEventListener("load", () => judge(picture));
    picture.addEventListener("error", () => judge(picture));
  }
}
