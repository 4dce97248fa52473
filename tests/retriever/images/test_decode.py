"""Every kind of image file becomes the RGB pixels that a person sees."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from indexes.errors import InputError
from indexes.images import Image
from retriever.images.decode import decode
from tests.support.models.pictures import BLUE, RED, picture

WHITE = (255, 255, 255)


def saved(shown, kind="PNG", **options):
    file = io.BytesIO()
    shown.save(file, kind, **options)
    return file.getvalue()


def pixels(data):
    return np.asarray(decode(Image.of(data)))


def test_exif_turns_a_photo_upright():
    lying = Pillow.new("RGB", (4, 2), RED)
    lying.putpixel((0, 0), BLUE)
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    found = pixels(saved(lying, exif=exif))
    assert found.shape == (4, 2, 3)
    assert tuple(found[0, 1]) == BLUE


def test_cmyk_is_read_as_colors():
    found = pixels(saved(Pillow.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    assert np.abs(found.astype(int) - RED).max() <= 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    gray = Pillow.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16))
    assert pixels(saved(gray, kind))[0, :, 0].tolist() == [0, 100, 255]


def test_floats_are_scaled():
    gray = Pillow.fromarray(np.array([[0.0, 0.4, 1.0]], np.float32))
    assert pixels(saved(gray, "TIFF"))[0, :, 0].tolist() == [0, 102, 255]


def test_what_is_transparent_is_white():
    palette = Pillow.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putpixel((1, 0), 1)
    assert pixels(saved(palette, transparency=0)).tolist() == [[[*WHITE], [*BLUE]]]
    assert pixels(saved(Pillow.new("RGBA", (1, 1), (*RED, 0)))).tolist() == [[[*WHITE]]]


def test_the_first_frame_of_an_animation_counts():
    first, second = (Pillow.new("RGB", (3, 3), color) for color in (RED, BLUE))
    found = pixels(saved(first, "GIF", save_all=True, append_images=[second]))
    assert (found == RED).all()


def test_a_bad_image_is_named():
    cut = picture(size=(64, 64), kind="JPEG")[:-200]
    for data in (b"", b"no image", cut):
        with pytest.raises(InputError, match=r"^holiday\.jpg: "):
            decode(Image.of_bytes(data, "holiday.jpg"))


def test_a_bomb_is_refused_before_it_is_decoded():
    # 50,000 x 50,000 pixels by its header, which is all that is read.
    small = bytearray(saved(Pillow.new("L", (1, 1))))
    small[16:24] = (50_000).to_bytes(4, "big") * 2
    small[29:33] = zlib.crc32(bytes(small[12:29])).to_bytes(4, "big")
    with pytest.raises(InputError, match="bomb.png: the image has more than 178,956,970 pixels"):
        decode(Image.of_bytes(bytes(small), "bomb.png"))
