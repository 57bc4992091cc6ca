"""One image file as pixels: formats, depths, orientation, alpha."""

import numpy as np
import pytest
from images import SIDE, picture, save
from PIL import Image

from slt_bench.data.picture import ALPHA, DEEP, TURNED, decode, endings
from slt_bench.utils.errors import UserError


@pytest.fixture
def grey():
    return picture(0)


@pytest.mark.parametrize("kind", ["png", "tiff", "pgm", "jp2"])
def test_16_bit_grey_is_what_it_is_in_8_bits(tmp_path, grey, kind):
    deep = decode(save(tmp_path / f"deep.{kind}", grey, depth=16), SIDE)
    assert np.array_equal(deep.pixels, np.stack([grey] * 3))
    assert deep.traits == {DEEP}
    assert deep.peak == grey.max() / 255


def test_12_bits_that_a_tiff_declares_are_its_range(tmp_path, grey):
    values = grey.astype(np.uint16) * 16
    rows = bytearray()  # two values in three bytes
    for row in values:
        for one, two in row.reshape(-1, 2):
            rows += bytes([int(one) >> 4, (int(one) & 15) << 4 | int(two) >> 8, int(two) & 255])
    tags = [(256, SIDE), (257, SIDE), (258, 12), (259, 1), (262, 1), (273, 0), (277, 1), (278, SIDE), (279, len(rows))]
    offset = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
        + (offset if tag == 273 else value).to_bytes(4, "little")
        for tag, value in tags
    )  # fmt: skip
    head = b"II*\0" + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little")
    (tmp_path / "x.tif").write_bytes(head + entries + bytes(4) + bytes(rows))
    found = decode(tmp_path / "x.tif", SIDE)
    assert np.abs(found.pixels.astype(int) - grey).max() <= 1
    assert found.peak == values.max() / 4095


@pytest.mark.parametrize(("numbers", "told"), [(np.int32, "32-bit integers"), (np.float32, "floating-point numbers")])
def test_values_without_a_known_range_are_refused(tmp_path, grey, numbers, told):
    Image.fromarray(grey.astype(numbers)).save(tmp_path / "x.tif")
    with pytest.raises(UserError, match=told):
        decode(tmp_path / "x.tif", SIDE)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path, kind, orientation):
    upright = np.zeros((32, 32, 3), np.uint8)
    upright[:16, :16], upright[:16, 16:], upright[16:, :16] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    stored = Image.fromarray(upright)
    back = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    if orientation in back:
        stored = stored.transpose(Image.Transpose[back[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"x.{kind}", exif=exif)
    found = decode(tmp_path / f"x.{kind}", 32)
    assert np.abs(found.pixels[:, 4:12, 4:12].mean((1, 2)) - (250, 0, 0)).max() < 30
    assert np.abs(found.pixels[:, 4:12, 20:28].mean((1, 2)) - (0, 250, 0)).max() < 30
    assert (TURNED in found.traits) == (orientation > 1 and kind != "tif"), "PIL itself turns TIFFs"


def test_damaged_exif_data_do_not_hide_an_image(tmp_path, grey):
    Image.fromarray(grey).save(tmp_path / "x.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    assert np.array_equal(decode(tmp_path / "x.png", SIDE).pixels[0], grey)


def test_alpha_is_dropped(tmp_path, grey):
    whole = Image.fromarray(np.dstack([grey] * 3))
    whole.putalpha(3)
    whole.save(tmp_path / "x.png")
    found = decode(tmp_path / "x.png", SIDE)
    assert np.array_equal(found.pixels, np.stack([grey] * 3))
    assert found.traits == {ALPHA}


@pytest.mark.parametrize("kind", ["jfif", "jpe", "ppm", "pbm", "tga", "qoi", "webp", "avif", "bmp", "gif"])
def test_whatever_pil_decodes_is_an_image(tmp_path, grey, kind):
    if f".{kind}" not in endings():
        pytest.skip(f"PIL has no {kind} here")
    encoder = {"jfif": "jpeg", "jpe": "jpeg", "pbm": "ppm"}.get(kind, kind)
    Image.fromarray(np.dstack([grey] * 3)).save(tmp_path / f"x.{kind}", format=encoder)
    assert np.abs(decode(tmp_path / f"x.{kind}", SIDE).pixels[0].astype(int) - grey).mean() < 10


def test_what_needs_other_programs_is_no_image():
    assert {".jpg", ".png", ".tif"} <= endings()
    assert not endings() & {".eps", ".mpg", ".wmf", ".h5", ".pdf", ".txt"}
