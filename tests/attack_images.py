"""Image files that are good, in every supported format, and such that are not, made of them by seeded mutation.

Run as a program it reads every file of a folder, as a process of its own with little memory and an alarm for each, and prints what became of them.
"""
import io
import json
import os
import resource
import signal
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, features
from watching import memory

SECONDS, MEMORY = 20, 3 * 2**30  # for each reading; for all of them, beside what the imports take
LAY = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # EXIF's orientation -> how the picture lies in the file, as Image.Transpose


def tiff(data, width, height, bits, order="<", **further):
    "A TIFF of one strip; further tags as t281=(4095,), whole numbers of 16 bits."
    samples = 1 if np.isscalar(bits) else len(bits)
    tags = {256: (width,), 257: (height,), 258: tuple(np.atleast_1d(bits).tolist()), 259: (1,), 262: (1 if samples < 3 else 2,), 277: (samples,), 278: (height,), 273: (0,), 279: (len(data),)}
    tags |= {int(name[1:]): values for name, values in further.items()}
    start, blob, rows = 8 + 2 + 12 * len(tags) + 4, b"", b""
    for tag, values in tags.items():
        long = struct.pack(f"{order}{len(values)}H", *values) if len(values) > 2 else b""
        tags[tag] = values, start + len(blob) if long else None
        blob += long
    for tag, (values, place) in sorted(tags.items()):
        wide = tag in (273, 279)
        where = struct.pack(f"{order}I", start + len(blob) if tag == 273 else place or values[0]) if wide or place else struct.pack(f"{order}{len(values)}H", *values).ljust(4, b"\0")
        rows += struct.pack(f"{order}HHI", tag, 4 if wide else 3, len(values)) + where
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags)) + rows + bytes(4) + blob + data


def pack(x, bits):  # (H, W) whole numbers -> bytes, each row by itself
    each = np.unpackbits(x.astype(">u2").view(np.uint8).reshape(*x.shape, 2), axis=-1)[..., 16 - bits :]
    return np.packbits(each.reshape(len(x), -1), axis=1).tobytes()


def picture(height=28, width=40):
    "Smooth, with a bright corner that tells all eight orientations apart."
    y, x = np.mgrid[:height, :width]
    image = np.stack([40 + 80 * x / width, 50 + 60 * y / height, 70 + 0 * x], -1)
    image[: height // 3, : width // 3] = 250
    return image.round().astype(np.uint8)


def good():
    "Name -> (bytes, what they show: (H, W, 3) uint8, or None where they are refused)."
    rgb = picture()
    image, grey = Image.fromarray(rgb), Image.fromarray(rgb).convert("L")
    shades, made = np.asarray(grey), {}
    in_three = np.repeat(shades[..., None], 3, -1)

    def put(name, what, want, kind=None, **options):
        file = io.BytesIO()
        what.save(file, kind or name.rpartition(".")[2].upper(), **options)
        made[name] = file.getvalue(), want

    holes = Image.fromarray(np.dstack([rgb, np.where(np.arange(40) < 20, 255, 0) * np.ones((28, 1))]).astype(np.uint8))
    over_white = np.where((np.arange(40) < 20)[None, :, None], rgb, 255)
    deep = Image.fromarray(shades.astype(np.uint16) * 257)
    cut = image.quantize(32)
    holed = cut.copy()
    holed.info["transparency"] = 0
    shown = np.asarray(holed.convert("RGB")).copy()
    shown[np.asarray(holed) == 0] = 255
    others = [Image.fromarray(255 - rgb), Image.fromarray(rgb[:, ::-1].copy())]
    several = dict(save_all=True, append_images=others)
    bit = Image.fromarray(shades > 100)
    for kind in ["PNG", "BMP", "DIB", "TIFF", "TGA", "PPM"]:
        put(f"rgb.{kind.lower()}", image, rgb)
    for kind in ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000"]:
        put(f"grey.{kind.lower()}", grey, in_three, **(dict(lossless=True) if kind == "WEBP" else {}))
    for kind in ["PNG", "BMP", "TIFF", "PPM"]:
        put(f"bit.{kind.lower()}", bit, np.repeat(np.asarray(bit)[..., None] * np.uint8(255), 3, -1))
    for kind in ["PNG", "TIFF", "WEBP", "TGA", "JPEG2000"]:
        put(f"holes.{kind.lower()}", holes, over_white, **(dict(lossless=True) if kind == "WEBP" else {}))
    for kind in ["PNG", "GIF"]:
        put(f"palette.{kind.lower()}", cut, np.asarray(cut.convert("RGB")))
        put(f"palette-holes.{kind.lower()}", holed, shown, transparency=0)
    put("la.png", holes.convert("LA"), np.where((np.arange(40) < 20)[None, :, None], in_three, 255))
    put("la.tiff", holes.convert("LA"), np.where((np.arange(40) < 20)[None, :, None], in_three, 255))
    for kind in ["PNG", "TIFF", "JPEG2000"]:
        put(f"deep.{kind.lower()}", deep, in_three)
        put(f"doubt.{kind.lower()}", Image.fromarray(shades.astype(np.uint16)), None)
    put("floats.tiff", Image.fromarray(shades / np.float32(255)), None)
    put("nan.tiff", Image.fromarray(np.full((28, 40), np.nan, np.float32)), None)
    put("int32.tiff", Image.fromarray(shades.astype(np.int32)), None)
    for compression in ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"]:
        put(f"{compression}.tiff", image, rgb, compression=compression)
    put("group4.tiff", bit, made["bit.png"][1], compression="group4")
    put("pages.tiff", image, rgb, **several)
    put("animated.gif", cut, np.asarray(cut.convert("RGB")), **several)
    put("animated.png", image, rgb, **several)
    put("animated.webp", image, rgb, lossless=True, **several)
    put("photo.webp", image, rgb, quality=90)
    put("photo.jpeg", image, rgb, quality=95)
    put("progressive.jpeg", image, rgb, quality=95, progressive=True)
    put("two.mpo", image, rgb, quality=95, **several)
    flat = np.full((28, 40, 3), 150, np.uint8)
    put("cmyk.jpeg", Image.fromarray(flat).convert("CMYK"), flat, quality=95)
    put("cmyk-profile.jpeg", Image.fromarray(flat).convert("CMYK"), flat, quality=95, icc_profile=b"\0\0\2\0broken" * 30)
    put("profile.png", image, rgb, icc_profile=b"\0\0\2\0broken" * 30)
    put("photo.jp2", image, rgb, "JPEG2000")
    put("stream.jpeg2000", image, rgb, no_jp2=True)
    if features.check("avif"):
        put("photo.avif", image, rgb, quality=95)
        put("holes.avif", holes, over_white, quality=95)
        put("animated.avif", image, rgb, quality=95, **several)
    upright = {"png": {}, "jpeg": dict(quality=95), "tiff": {}, "webp": dict(lossless=True)} | ({"avif": dict(quality=95)} if features.check("avif") else {})
    for kind, options in upright.items():
        for number, steps in LAY.items():
            lying, exif = image, Image.Exif()
            for step in steps:
                lying = lying.transpose(step)
            exif[0x112] = number
            put(f"exif-{number}.{kind}", lying, rgb, exif=exif, **options)
    put("exif-broken.jpeg", image, rgb, quality=95, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(256)))
    put("exif-99.jpeg", image, rgb, quality=95, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0")
    twelve = (shades * np.uint16(16) + shades // 16).astype(np.uint16)
    made["twelve.tiff"] = tiff(pack(twelve, 12), 40, 28, 12), in_three
    made["stated.tiff"] = tiff(twelve.astype("<u2").tobytes(), 40, 28, 16, t281=(4095,)), in_three
    made["stated-big.tiff"] = tiff(twelve.astype(">u2").tobytes(), 40, 28, 16, ">", t281=(4095,)), in_three
    made["stated32.tiff"] = tiff(shades.astype("<i4").tobytes(), 40, 28, 32, t281=(255,), t339=(2,)), in_three
    made["inverted.tiff"] = tiff((65535 - shades.astype("<u2") * np.uint16(257)).tobytes(), 40, 28, 16, t262=(0,)), in_three
    made["deep-colours.tiff"] = tiff((rgb.astype("<u2") * 257).tobytes(), 40, 28, [16] * 3), rgb
    made["doubt-colours.tiff"] = tiff(rgb.astype("<u2").tobytes(), 40, 28, [16] * 3), None
    made["stated-colours.tiff"] = tiff((rgb * np.uint16(16)).astype("<u2").tobytes(), 40, 28, [16] * 3, t281=(4095,) * 3), None
    made["signed.tiff"] = tiff(shades.astype("<i2").tobytes(), 40, 28, 16, t339=(2,)), None
    for most in (15, 1023, 4095, 65535):
        number = (shades * (most / 255)).round().astype(">u2" if most > 255 else "u1")
        made[f"most-{most}.pgm"] = b"P5\n40 28\n%d\n" % most + number.tobytes(), (number * (255 / most)).round().astype(np.uint8)[..., None].repeat(3, -1)
        made[f"most-{most}.ppm"] = b"P6\n40 28\n%d\n" % most + number.repeat(3).tobytes(), made[f"most-{most}.pgm"][1]
    made["doubt.pgm"] = b"P5\n40 28\n65535\n" + shades.astype(">u2").tobytes(), None
    made["doubt.ppm"] = b"P6\n40 28\n65535\n" + shades.astype(">u2").repeat(3).tobytes(), None
    made["words.ppm"] = b"P3 40 28 255 " + b" ".join(b"%d" % v for v in rgb.ravel()), rgb
    try:
        import pillow_heif
    except ImportError:
        return made
    for name, lying in (("photo.heic", rgb), ("telephone.jpg", rgb)):
        pillow_heif.from_bytes("RGB", (40, 28), lying.tobytes()).save(file := io.BytesIO(), quality=95)
        made[name] = file.getvalue(), rgb
    return made


def lies(side):
    "Name -> bytes whose header promises what is not there: sizes from 0 to 2^31, scans without end, pages that lead back."
    made, image = {}, Image.fromarray(picture())
    file = {}
    for kind in ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "TGA", "JPEG2000"]:
        image.save(held := io.BytesIO(), kind)
        file[kind] = held.getvalue()
    places = {  # where width and height stand, and how
        "PNG": (16, ">II"), "BMP": (18, "<ii"), "GIF": (6, "<HH"), "TGA": (12, "<HH"), "JPEG": (file["JPEG"].index(b"\xff\xc0") + 5, ">HH"),
        "JPEG2000": (file["JPEG2000"].index(b"\xff\x51") + 6, ">II"), "WEBP": (26, "<HH")}
    for kind, (place, form) in places.items():
        most = 2 ** (8 * struct.calcsize(form) // 2) - 1 >> ("i" in form)
        for width, height in sorted({(most, most), (most, 1), (1, most), (0, 0), (0, 9), (min(most, side), min(most, side)), (65535, 1), (65535, side // 7)}):
            made[f"{width}x{height}.{kind.lower()}"] = file[kind][:place] + struct.pack(form, width, height) + file[kind][place + struct.calcsize(form) :]
    for width, height in ((10**9, 10**9), (side, side), (65535, 1), (10**20, 1), (0, 0)):
        made[f"{width}x{height}.ppm"] = b"P6\n%d %d\n255\n" % (width, height) + bytes(99)
    for width, height in ((65535, 65535), (side, side), (65535, 1)):
        made[f"{width}x{height}.tiff"] = tiff(bytes(99), width, height, 8)
    loop = bytearray(file["TIFF"])
    start = struct.unpack("<I", loop[4:8])[0]
    end = start + 2 + 12 * struct.unpack("<H", loop[start : start + 2])[0]
    loop[end : end + 4] = struct.pack("<I", start)
    made["loop.tiff"] = bytes(loop)
    Image.new("L", (64, 64), 128).save(held := io.BytesIO(), "JPEG", progressive=True, quality=10)
    plain = held.getvalue()
    made["scans.jpeg"] = plain[:-2] + 2000 * plain[plain.rindex(b"\xff\xda") : -2] + plain[-2:]
    for kind in ["PNG", "BMP", "TIFF", "TGA", "PPM", "JPEG", "GIF", "JPEG2000"]:
        for size in ((65500, 1), (1, 65500)):
            Image.new("RGB", size, (90, 120, 150)).save(held := io.BytesIO(), kind)
            made[f"long-{size[0]}.{kind.lower()}"] = held.getvalue()
    return made


def cases(side, seed=0):
    "Name -> (bytes, size (H, W) or None where it may be any, what it shows or None); of good files, of lies, and of mutations."
    rng, made, sound = np.random.default_rng(seed), {}, good()
    endings = ["png", "jpg", "tif", "gif", "webp", "bmp", "avif"]
    for i, (name, (content, want)) in enumerate(sound.items()):
        made[f"good-{name}"] = content, (28, 40), want
        made[f"wrong-{name}.{endings[i % 7]}"] = content, (28, 40), want
        for part in range(0, 100, 5):
            made[f"cut{part:02d}-{name}"] = content[: len(content) * part // 100], (28, 40), None
        for turn in range(10):
            bad = np.frombuffer(content, np.uint8).copy()
            where = rng.integers(0, len(bad) if turn % 2 else min(200, len(bad)), 1 + turn // 2)
            bad[where] ^= (1 << rng.integers(0, 8, len(where))).astype(np.uint8)
            made[f"flip{turn}-{name}"] = bad.tobytes(), None, None
        bad = content[: (at := int(rng.integers(len(content)))) ] + rng.bytes(40) + content[at:]
        made[f"more-{name}"] = bad, None, None
    return made | {f"lie-{name}": (content, None, None) for name, content in lies(side).items()}


def write(folder, every=1, side=13000):
    "Write every so-manyth case, all good ones and all lies into a folder; returns them by file name, with an ending that a folder is searched for."
    found = {}
    for i, (name, case) in enumerate(cases(side).items()):
        if i % every == 0 or name.startswith(("good", "lie")):
            path = Path(folder, name if name.endswith((".png", ".jpeg", ".tiff", ".gif", ".bmp", ".webp", ".ppm", ".pgm", ".avif", ".heic")) else f"{name}.png")
            path.write_bytes(case[0])
            found[path.name] = case
    return found


def read_all(folder):
    "Read every file of a folder and write what becomes of it, a line of JSON each; the last line holds the memory in MB."
    from dotseg.evaluation.datasets import read_mask
    from dotseg.segmentation.images import ImageError, count_pages, load_image, read_frames

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    before, kept = memory(), []
    for path in sorted(Path(folder).iterdir()):
        print(path.name, flush=True, end="\t")
        found = {}
        for what, read in (("image", load_image), ("pages", count_pages), ("frames", lambda path: len(list(read_frames(path)))), ("mask", read_mask)):
            signal.alarm(SECONDS)  # kills the process, in C code too
            try:
                got = read(path)
                found[what] = got if isinstance(got, int) else [list(got.shape), str(got.dtype)]
                if what == "image":
                    np.save(Path(folder).with_name("read") / f"{path.name}.npy", got if got.size < 10**6 else got[:1, :1])
            except ImageError as error:
                found[what] = str(error)
                kept.append(error)  # with all that it holds
            except BaseException as error:
                found[what] = {"other": f"{type(error).__name__}: {error}"}
            got = None
        print(json.dumps(found), flush=True)
    signal.alarm(0)
    print("memory", json.dumps({"before": before, "peak": memory(), "errors": len(kept)}), sep="\t")


if __name__ == "__main__":
    warnings.simplefilter("default")
    read_all(sys.argv[1])
