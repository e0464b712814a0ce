"""Letterbox, YoloDecode and Nms against what they imitate: OpenCV's resize, torchvision's NMS and Ultralytics' own
functions. Each part is skipped where its peer is not installed."""

import os
import pathlib
import random
import subprocess
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECK = pathlib.Path(os.environ.get("SLIPWAY_BUILD", ROOT / "build")) / "vision_check"


class Ops:
    """The program vision_check: one request, one answer."""

    def __init__(self):
        self.process = subprocess.Popen([CHECK], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _read(self, dtype):
        dims = [int(word) for word in self.process.stdout.readline().split()]
        size = int(np.prod(dims)) * np.dtype(dtype).itemsize
        return np.frombuffer(self.process.stdout.read(size), dtype).reshape(dims)

    def run(self, op, array, outputs=(np.float32,), **attrs):
        dims = array.shape[:2] if op == "Letterbox" else array.shape
        words = [op, *map(str, dims), *(f"{name}={value}" for name, value in attrs.items())]
        self.process.stdin.write((" ".join(words) + "\n").encode() + np.ascontiguousarray(array).tobytes())
        self.process.stdin.flush()
        answers = [self._read(dtype) for dtype in outputs]
        return answers if len(answers) > 1 else answers[0]


@unittest.skipUnless(CHECK.exists(), "vision_check is not built")
class WithOps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ops = Ops()
        cls.random = random.Random(11)
        cls.numbers = np.random.default_rng(11)

    @classmethod
    def tearDownClass(cls):
        cls.ops.close()

    def picture(self, height, width):
        """Noise, black and white noise (the largest steps), or a ramp."""
        kind = self.random.randrange(3)
        if kind == 0:
            return self.numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if kind == 1:
            return self.numbers.integers(0, 2, (height, width, 3), dtype=np.uint8) * np.uint8(255)
        ramp = np.arange(height * width * 3, dtype=np.int64) * 7 // 5 % 256
        return ramp.astype(np.uint8).reshape(height, width, 3)


class Letterbox(WithOps):
    def setUp(self):
        try:
            import cv2
        except ImportError:
            self.skipTest("no cv2")
        self.cv2 = cv2

    def expected(self, image, height, width, stride=0, center=1, scale_up=1, truncate=0):
        """LetterBox as its documentation and `facts` describe it, on top of OpenCV."""
        ratio = min(height / image.shape[0], width / image.shape[1])
        ratio = ratio if scale_up else min(ratio, 1.0)
        rounded = int if truncate else round
        h, w = max(rounded(image.shape[0] * ratio), 1), max(rounded(image.shape[1] * ratio), 1)
        if image.shape[:2] != (h, w):
            image = self.cv2.resize(image, (w, h), interpolation=self.cv2.INTER_LINEAR)
        dh, dw = height - h, width - w
        if stride:
            dh, dw = dh % stride, dw % stride
        top, left = (round(dh / 2 - 0.1), round(dw / 2 - 0.1)) if center else (0, 0)
        canvas = np.full((h + dh, w + dw, 3), 114, np.uint8)
        canvas[top : top + h, left : left + w] = image
        return canvas.transpose(2, 0, 1)[None].astype(np.float32)

    def compare(self, size, canvas, **attrs):
        image = self.picture(*size)
        want = self.expected(image, *canvas, **attrs)[:, ::-1] / np.float32(255)
        got = self.ops.run("Letterbox", image, height=canvas[0], width=canvas[1], swap_rb=1, **attrs)
        self.assertEqual(got.shape, want.shape, (size, canvas, attrs))
        self.assertTrue(np.array_equal(got, want), (size, canvas, attrs))

    def test_random_sizes(self):
        for _ in range(300):
            size = self.random.randint(1, 150), self.random.randint(1, 150)
            canvas = self.random.randint(1, 200), self.random.randint(1, 200)
            options = {"stride": (0, 0, 8, 32), "scale_up": (1, 1, 0), "center": (1, 0), "truncate": (0, 0, 1)}
            self.compare(size, canvas, **{name: self.random.choice(values) for name, values in options.items()})

    def test_integer_factors(self):
        for factor in (1, 2, 3, 4, 8):
            for _ in range(15):
                h, w = self.random.randint(1, 40), self.random.randint(1, 40)
                self.compare((h * factor, w * factor), (h, w))
                self.compare((h, w), (h * factor, w * factor))

    def test_one_pixel_and_thin_pictures(self):
        for size in ((1, 1), (1, 2), (2, 1), (1, 3000), (3000, 1), (2, 2), (3, 2000), (1, 64), (64, 1)):
            for canvas in ((32, 32), (64, 48), (1, 1), (7, 640)):
                self.compare(size, canvas)

    def test_usual_pictures(self):
        for size in ((1080, 810), (576, 768), (424, 640), (720, 1280), (1080, 1920), (1280, 1280), (2000, 3001)):
            for attrs in ({}, {"stride": 32}):
                self.compare(size, (640, 640), **attrs)

    def test_ultralytics(self):
        try:
            from ultralytics.data.augment import LetterBox
        except ImportError:
            self.skipTest("no ultralytics")
        for _ in range(100):
            image = self.picture(self.random.randint(1, 900), self.random.randint(1, 900))
            canvas = self.random.randint(1, 20) * 32, self.random.randint(1, 20) * 32
            auto, center, up = (self.random.random() < 0.5 for _ in range(3))
            want = LetterBox(canvas, auto=auto, center=center, scaleup=up, stride=32)(image=image)
            got = self.ops.run("Letterbox", image, height=canvas[0], width=canvas[1], stride=32 if auto else 0,
                               center=int(center), scale_up=int(up), divisor="1.0")
            self.assertTrue(np.array_equal(got[0].transpose(1, 2, 0), want), (image.shape, canvas, auto, center, up))


class Nms(WithOps):
    def setUp(self):
        try:
            import torch
            import torchvision  # noqa: F401 -- Ultralytics uses its NMS once it is imported
            from ultralytics.utils.nms import non_max_suppression
        except ImportError:
            self.skipTest("no torch, torchvision or ultralytics")
        self.torch, self.reference = torch, non_max_suppression

    def outputs(self, batch, classes, anchors, spread, levels):
        """Raw v8 outputs: boxes in clusters, scores from few levels, so that ties are common."""
        centers = self.numbers.uniform(0, 640, (batch, 2, max(anchors // 12, 1)))
        pick = self.numbers.integers(0, centers.shape[2], anchors)
        xy = centers[:, :, pick] + self.numbers.normal(0, spread, (batch, 2, anchors))
        wh = self.numbers.uniform(5, 120, (batch, 2, 1)) * self.numbers.uniform(0.7, 1.4, (batch, 2, anchors))
        scores = self.numbers.uniform(0, 1, (batch, classes, anchors)) ** 3
        if levels:
            scores = np.round(scores * levels) / levels
        return np.concatenate([xy, wh, scores], 1).astype(np.float32)

    def compare(self, raw, conf, iou, classes=None, **attrs):
        rows = self.ops.run("YoloDecode", raw, layout="v8")
        listed = {"classes": ",".join(map(str, classes))} if classes else {}
        boxes, counts = self.ops.run("Nms", rows, (np.float32, np.int32), conf=conf, iou=iou, **listed, **attrs)
        flags = {name: bool(attrs.pop(name, 0)) for name in ("agnostic", "multi_label")}
        want = self.reference(self.torch.from_numpy(raw), conf, iou, classes=classes, **flags, **attrs)
        for i, expected in enumerate(want):
            self.assertEqual(counts[i], len(expected))
            self.assertTrue(np.array_equal(boxes[i, : counts[i]], expected.numpy()))
            self.assertFalse(boxes[i, counts[i] :].any())
        return int(counts.sum())

    def test_random(self):
        kept = 0
        for i in range(60):
            classes = self.random.choice((1, 2, 5, 80))
            anchors = self.random.choice((1, 7, 300, 2000))
            multi_label = int(i % 5 < 2 and classes * anchors <= 30000)  # see test_many_boxes
            raw = self.outputs(self.random.randint(1, 2), classes, anchors,
                               self.random.choice((1, 4, 15)), self.random.choice((0, 0, 10, 100)))
            chosen = self.random.sample(range(classes), 2) if classes > 4 and i % 4 == 0 else None
            conf, iou = self.random.choice((0.001, 0.25, 0.5)), self.random.choice((0.3, 0.45, 0.5, 0.7))
            kept += self.compare(raw, conf, iou, classes=chosen, agnostic=int(i % 3 == 0), multi_label=multi_label,
                                 max_det=self.random.choice((1, 30, 300)))
        self.assertGreater(kept, 2000)

    def test_equal_boxes_and_scores(self):
        raw = np.tile(np.array([100, 100, 50, 40, 0.5, 0.5], np.float32)[None, :, None], (1, 1, 64))
        raw[0, 0, ::2] += 60
        self.assertEqual(self.compare(raw, 0.25, 0.7), 2)
        self.assertEqual(self.compare(raw, 0.5, 0.7), 0)  # the threshold itself is not enough

    def test_many_boxes(self):
        raw = self.outputs(1, 80, 8400, 6, 0)  # all scores differ: torch cuts equal ones in no certain order
        raw[0, 4:] = ((self.numbers.permutation(80 * 8400) + 1) / (80 * 8400 + 1)).reshape(80, 8400)
        self.assertEqual(self.compare(raw, 0.001, 0.7, multi_label=1, max_nms=5000), 300)
        self.compare(raw, 0.25, 0.7)

    def test_empty_boxes(self):
        raw = self.outputs(1, 3, 200, 0.0, 10)
        raw[0, 2:4, ::3] = 0
        self.compare(raw, 0.1, 0.5)


class Decode(WithOps):
    def test_v5(self):
        raw = self.numbers.uniform(0, 1, (2, 40, 9)).astype(np.float32)
        got = self.ops.run("YoloDecode", raw, layout="v5")
        half = raw[..., 2:4] / 2
        want = np.concatenate([raw[..., :2] - half, raw[..., :2] + half, raw[..., 5:] * raw[..., 4:5]], -1)
        self.assertTrue(np.array_equal(got, want))

    def test_yolox(self):
        raw = self.numbers.normal(0, 1, (1, 16 * 8 + 8 * 4 + 4 * 2, 7)).astype(np.float32)
        got = self.ops.run("YoloDecode", raw, layout="yolox", height=128, width=64, strides="8,16,32")
        grid, step = [], []
        for stride in (8, 16, 32):
            y, x = np.mgrid[: 128 // stride, : 64 // stride]
            grid.append(np.stack([x, y], -1).reshape(-1, 2))
            step.append(np.full((grid[-1].shape[0], 1), stride))
        grid, step = np.concatenate(grid), np.concatenate(step)
        xy, half = (raw[0, :, :2] + grid) * step, np.exp(raw[0, :, 2:4]) * step / 2
        want = np.concatenate([xy - half, xy + half, raw[0, :, 5:] * raw[0, :, 4:5]], -1)
        np.testing.assert_allclose(got[0], want, rtol=1e-5, atol=1e-4)


if __name__ == "__main__":
    unittest.main()
