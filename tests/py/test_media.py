"""Decoded pictures against OpenCV's imread, byte for byte: on files made here, and on those of the data folder."""

import pathlib
import struct
import subprocess
import tempfile
import unittest
import zlib

import numpy as np

import slipway

try:
    import cv2
except ImportError:
    cv2 = None

CHECK = slipway.BUILD / "image_check"
BATCH = 50


def orient(jpeg, orientation, little):
    """The JPEG with an EXIF block, in either byte order, that says how to turn it."""
    order = "<" if little else ">"
    tiff = struct.pack(order + "2sHIHHHIHHI", b"II" if little else b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff + jpeg[2:]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def make_png(width, height, depth, color_type, rows, before=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) +
            chunk(b"IEND", b""))


@unittest.skipUnless(cv2, "OpenCV is not installed")
@unittest.skipUnless(CHECK.exists(), "image_check is not built")
class Pictures(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(5)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.files = []

    def picture(self, height, width, channels=3):
        """Smooth shapes with some noise: what encoders see."""
        small = self.random.integers(0, 256, (4 + height // 16, 4 + width // 16, channels), dtype=np.uint8)
        smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
        noise = self.random.integers(-6, 7, smooth.shape)
        return np.clip(smooth + noise, 0, 255).astype(np.uint8)

    def add(self, name, data):
        path = self.folder / f"{len(self.files):03}_{name}"
        path.write_bytes(bytes(data))
        self.files.append(path)

    def encode(self, ending, picture, *options):
        return cv2.imencode(ending, picture, options)[1].tobytes()

    def check(self, paths=None):
        """All files decode to what OpenCV gives."""
        paths = list(paths or self.files)
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            outputs = [self.folder / f"out_{i}" for i in range(len(batch))]
            arguments = [str(word) for pair in zip(batch, outputs) for word in pair]
            result = subprocess.run([CHECK, *arguments], capture_output=True, text=True, check=True)
            for path, output, line in zip(batch, outputs, result.stdout.splitlines(), strict=True):
                want = cv2.imread(str(path))
                width, height = line.split(maxsplit=1)
                self.assertEqual([height, width], [str(side) for side in want.shape[:2]], path.name)
                got = np.fromfile(output, np.uint8).reshape(want.shape)
                self.assertEqual(int(np.count_nonzero(got != want)), 0, path.name)

    def test_jpeg(self):
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
                    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
                    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        for i in range(60):
            height, width = self.random.integers(1, 150, 2)
            quality = int(self.random.choice([5, 30, 75, 90, 95, 100]))
            options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                       sampling[i % len(sampling)]]
            if i % 3 == 1:
                options += [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
            if i % 4 == 1:
                options += [cv2.IMWRITE_JPEG_RST_INTERVAL, int(self.random.integers(1, 9))]
            if i % 4 == 3:
                options += [cv2.IMWRITE_JPEG_OPTIMIZE, 1]
            self.add("a.jpg", self.encode(".jpg", self.picture(height, width, 1 if i % 10 == 0 else 3), *options))
        self.check()

    def test_orientation(self):
        for orientation in range(10):
            for little in (False, True):
                jpeg = self.encode(".jpg", self.picture(*self.random.integers(1, 90, 2)))
                self.add("turned.jpg", orient(jpeg, orientation, little))
        jpeg = self.encode(".jpg", self.picture(20, 30))
        self.add("first_counts.jpg", orient(orient(jpeg, 3, True), 6, False))
        for cut in range(20, 40):  # a shorter block, with the marker's length corrected
            head = orient(jpeg, 6, False)[: 2 + 4 + cut]
            self.add("cut.jpg", head[:4] + struct.pack(">H", cut + 2) + head[6:] + jpeg[2:])
        self.check()

    def test_jpeg_cut_short(self):
        for progressive in (0, 1):
            jpeg = self.encode(".jpg", self.picture(100, 120), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
            for part in (0.7, 0.9, 0.99):
                self.add("cut.jpg", jpeg[: int(len(jpeg) * part)])
            self.add("no_end.jpg", jpeg[:-2])
            self.add("tail.jpg", jpeg + b"tail" * 100)
        self.check()

    def test_png(self):
        for dtype, top in ((np.uint8, 256), (np.uint16, 65536)):
            for channels in (1, 3, 4):
                height, width = self.random.integers(1, 70, 2)
                pixels = self.random.integers(0, top, (height, width, channels), dtype=dtype)
                self.add("a.png", self.encode(".png", pixels))
        pixels = bytes(self.random.integers(0, 256, 4000, dtype=np.uint8))
        for color_type, depths, channels in ((0, (1, 2, 4, 8, 16), 1), (3, (1, 2, 4, 8), 1), (2, (8, 16), 3),
                                             (4, (8, 16), 2), (6, (8, 16), 4)):
            for depth in depths:
                width, height = 13, 9
                size = (width * channels * depth + 7) // 8
                rows = b"".join(b"\0" + pixels[y * size : (y + 1) * size] for y in range(height))
                palette = chunk(b"PLTE", pixels[: 3 << depth]) if color_type == 3 else b""
                self.add("kind.png", make_png(width, height, depth, color_type, rows, palette))
                alpha = chunk(b"tRNS", pixels[: {0: 2, 2: 6, 3: 1 << depth}.get(color_type, 0)])
                if color_type in (0, 2, 3):
                    self.add("transparent.png", make_png(width, height, depth, color_type, rows, palette + alpha))
        row = b"\0" + pixels[:30]
        self.add("gamma.png", make_png(10, 2, 8, 2, row * 2, chunk(b"gAMA", struct.pack(">I", 20000))))
        exif = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
        self.add("turned.png", make_png(10, 2, 8, 2, row * 2, chunk(b"eXIf", exif)))
        self.check()

    def test_data_folder(self):
        folder = slipway.data("images").parent
        self.check(sorted(p for p in folder.rglob("*") if p.suffix in (".jpg", ".png") and "train320" not in p.parts))


if __name__ == "__main__":
    unittest.main()
