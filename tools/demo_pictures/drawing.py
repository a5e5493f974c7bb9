"""Draws a scene: sky, sun or moon, and what is below. The same scene is always the same picture."""

import random
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFilter

from tools.demo_pictures.scenes import Kind, Light, Scene

WIDTH, HEIGHT = 960, 640
Color = tuple[int, int, int]
# Of the sky, at the top and at the horizon.
_SKIES: dict[Light, tuple[Color, Color]] = {
    "morning": ((122, 160, 214), (252, 214, 190)),
    "day": ((70, 138, 214), (198, 226, 244)),
    "evening": ((58, 48, 104), (250, 146, 86)),
    "night": ((8, 12, 36), (38, 52, 98)),
}
_GROUNDS: dict[Kind, Color] = {
    "sea": (30, 92, 128),
    "hills": (86, 124, 70),
    "city": (64, 66, 82),
    "desert": (206, 150, 88),
    "forest": (38, 84, 58),
    "snow": (226, 234, 244),
}
_BRIGHTNESS: dict[Light, float] = {"morning": 0.85, "day": 1.0, "evening": 0.6, "night": 0.35}


def drawn(scene: Scene) -> Image.Image:
    """The picture of a scene."""
    chance = random.Random(scene.file)
    image = _gradient(*_SKIES[scene.light])
    draw = ImageDraw.Draw(image)
    horizon = chance.randint(300, 380)
    _sun(draw, chance, scene.light, horizon)
    _clouds(image, chance, scene.light)
    match scene.kind:
        case "sea":
            _sea(draw, chance, scene.light, horizon)
        case "city":
            _city(draw, chance, scene.light, horizon)
        case "forest":
            _ridges(draw, chance, scene, horizon, 8)
            _trees(draw, chance, scene)
        case _:
            _ridges(draw, chance, scene, horizon, 90 if scene.kind == "snow" else 26)
    return image


def _gradient(top: Color, bottom: Color) -> Image.Image:
    column = Image.new("RGB", (1, HEIGHT))
    for y in range(HEIGHT):
        column.putpixel((0, y), _between(top, bottom, min(1.0, y / 380)))
    return column.resize((WIDTH, HEIGHT))


def _between(one: Color, other: Color, share: float) -> Color:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _lit(color: Color, light: Light, factor: float = 1.0) -> Color:
    red, green, blue = (min(255, round(part * _BRIGHTNESS[light] * factor)) for part in color)
    return red, green, blue


def _sun(draw: ImageDraw.ImageDraw, chance: random.Random, light: Light, horizon: int) -> None:
    x = chance.randint(160, 800)
    y = {"morning": horizon - 20, "day": 90, "evening": horizon - 6, "night": 110}[light]
    radius = 30 if light == "night" else 44
    color = (240, 240, 224) if light == "night" else (255, 236, 170)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    if light == "night":
        for _ in range(140):
            place = (chance.randint(0, WIDTH), chance.randint(0, horizon))
            draw.point(place, fill=(220, 224, 240))


def _clouds(image: Image.Image, chance: random.Random, light: Light) -> None:
    layer = Image.new("L", image.size)
    draw = ImageDraw.Draw(layer)
    for _ in range(chance.randint(3, 6)):
        x, y = chance.randint(0, WIDTH), chance.randint(40, 240)
        for _ in range(5):
            wide, high = chance.randint(40, 130), chance.randint(10, 26)
            left = x + chance.randint(-90, 90)
            draw.ellipse((left, y, left + wide, y + high), fill=150)
    white = _lit((255, 255, 255), light)
    image.paste(white, (0, 0, *image.size), layer.filter(ImageFilter.GaussianBlur(12)))


def _sea(draw: ImageDraw.ImageDraw, chance: random.Random, light: Light, horizon: int) -> None:
    for y in range(horizon, HEIGHT):
        depth = (y - horizon) / (HEIGHT - horizon)
        draw.line((0, y, WIDTH, y), fill=_lit(_GROUNDS["sea"], light, 1.3 - 0.6 * depth))
    for _ in range(120):
        x, y = chance.randint(0, WIDTH), chance.randint(horizon + 6, HEIGHT)
        wide = 6 + (y - horizon) // 8
        draw.line((x, y, x + wide, y), fill=_lit((190, 212, 224), light), width=2)
    for _ in range(chance.randint(2, 4)):
        x, y = chance.randint(80, 860), horizon + chance.randint(20, 120)
        draw.polygon([(x, y), (x + 70, y), (x + 56, y + 16), (x + 12, y + 16)], fill=(60, 34, 28))
        draw.polygon([(x + 34, y - 62), (x + 34, y - 4), (x + 66, y - 4)], fill=(236, 232, 220))


def _city(draw: ImageDraw.ImageDraw, chance: random.Random, light: Light, horizon: int) -> None:
    for depth, shade in ((0, 1.5), (40, 1.0)):
        x = 0
        while x < WIDTH:
            wide, high = chance.randint(40, 100), chance.randint(40, 220)
            top = horizon + depth - high + 40
            color = _lit(_GROUNDS["city"], light, shade)
            draw.rectangle((x, top, x + wide, HEIGHT), fill=color)
            for row in range(top + 12, horizon + 90, 18):
                for column in range(x + 8, x + wide - 10, 16):
                    if chance.random() < (0.5 if light in {"evening", "night"} else 0.12):
                        draw.rectangle((column, row, column + 6, row + 9), fill=(250, 214, 130))
            x += wide + chance.randint(2, 12)
    draw.rectangle((0, horizon + 100, WIDTH, HEIGHT), fill=_lit(_GROUNDS["sea"], light))


def _ridges(
    draw: ImageDraw.ImageDraw, chance: random.Random, scene: Scene, horizon: int, rough: int
) -> None:
    """Ridges one behind the other, the nearer the darker."""
    for number in range(4):
        base = horizon - 40 + number * 75
        xs = range(-60, WIDTH + 121, 120 if rough > 40 else 60)  # noqa: PLR2004 - mountains
        ridge = [(x, base - chance.randint(0, rough * 2)) for x in xs]
        color = _lit(_GROUNDS[scene.kind], scene.light, 1.05 - 0.17 * number)
        for (x, y), (to_x, to_y) in pairwise(ridge):
            draw.polygon([(x, y), (to_x, to_y), (to_x, HEIGHT), (x, HEIGHT)], fill=color)


def _trees(draw: ImageDraw.ImageDraw, chance: random.Random, scene: Scene) -> None:
    for _ in range(90):
        x, foot = chance.randint(0, WIDTH), chance.randint(430, HEIGHT)
        high = (foot - 340) // 2 + chance.randint(10, 50)
        color = _lit(_GROUNDS["forest"], scene.light, 1.4 - foot / 900)
        draw.polygon([(x, foot - high), (x - high // 4, foot), (x + high // 4, foot)], fill=color)
