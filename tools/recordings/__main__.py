"""Write the recordings of docs/recordings/ anew: `python -m tools.recordings [NAME...]`.

Each is a file of asciinema (`.cast`) and a picture that plays it (`.svg`). Needs the real engines.
"""

import sys

from tools.recordings.picture import svg
from tools.recordings.scenes import RECORDINGS, SCENES


def main() -> None:
    """Record the scenes of these names, or all."""
    for name in sys.argv[1:] or SCENES:
        recording = SCENES[name].play()
        recording.write(RECORDINGS / f"{name}.cast")
        (RECORDINGS / f"{name}.svg").write_text(svg(recording))
        print(f"docs/recordings/{name}.cast, {name}.svg")


if __name__ == "__main__":
    main()
