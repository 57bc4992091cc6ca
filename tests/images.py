"""Class folders of small images, made anew: two classes that are told apart by which half is bright."""

import numpy as np
from PIL import Image

SIDE = 32


def picture(label, seed=0, side=SIDE):
    """(side, side) uint8: the top half is bright in class 0, the bottom half in class 1; with some noise."""
    pixels = np.full((side, side), 40)
    pixels[: side // 2] = 200
    pixels = pixels[::-1] if label else pixels
    return (pixels + np.random.default_rng(seed).integers(-20, 20, pixels.shape)).astype(np.uint8)


def save(file, pixels, depth=8):
    """Save grey pixels as a file of its ending, and make its folders: of 16 bits as grey, else in three channels."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.astype(np.uint16) * 257 if depth == 16 else np.dstack([pixels] * 3))
    image.save(file)
    return file


def class_folders(root, train=12, test=4, kind="png", *, flip=False, depth=8, seed=0):
    """Write `train` and `test` images a class below root; `flip` exchanges the classes. Gives the root back."""
    for part, count in (("train", train), ("val", test)):
        for label, name in enumerate("ab"):
            for number in range(count):
                own = seed_of(seed, part == "val", label, number)
                save(root / part / name / f"{number}.{kind}", picture(label != flip, own), depth)
    return root


def seed_of(*numbers):
    """A seed for each place, the same in every process."""
    return sum(number * 1000**place for place, number in enumerate(numbers))
