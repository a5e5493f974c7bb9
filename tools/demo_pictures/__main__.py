"""Draw the pictures of the demo into a folder: `python -m tools.demo_pictures data/pictures`."""

import sys
from pathlib import Path

from tools.demo_pictures.scenes import SCENES
from tools.demo_pictures.writing import content_of


def main(folder: Path) -> None:
    """Write each picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        (folder / scene.file).write_bytes(content_of(scene))
    print(f"{len(SCENES)} pictures in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
