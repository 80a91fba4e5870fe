"""Trees of pictures, and a job whose step makes a slideshow of them."""

from dataclasses import replace

from footage.clips import Watched
from PIL import Image

from vidd.files.tree import tree_artifact
from vidd.model.media import Artifact

GREYS = (40, 90, 140, 190, 240)
"""How bright the slides are, by turns."""


def picture(path, size=(160, 120), grey=90, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path, **how)


def slides_step(directory, number=3, *, size=(160, 120), facts=None, pictures=None):
    """A job with a tree `cards` of so many pictures, or of those that `pictures` makes in it."""
    cards = directory / "cards"
    cards.mkdir(parents=True)
    if pictures is not None:
        pictures(cards)
    else:
        for slide in range(number):
            picture(cards / f"{slide + 1:04d}.png", size, GREYS[slide % len(GREYS)])
    first = next(path for path in sorted(cards.rglob("*")) if path.is_file())
    watched = Watched(directory, first, name="ada", facts=facts)
    return watched, replace(watched.context, artifacts={"cards": tree_artifact("cards", directory, "cards")})


def with_voice(context, path):
    """The same with an audio file of the role `voice`."""
    voice = Artifact("voice", path.relative_to(context.directory).as_posix(), path.stat().st_size, "audio/wav")
    return replace(context, artifacts={**context.artifacts, "voice": voice})
