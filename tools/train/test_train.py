"""Self-test of the trainer: python test_train.py

Needs PyTorch; single tests are skipped without onnx, onnxruntime, pycocotools or opencv.
"""
import contextlib
import io
import math
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import torch
    import numpy as np
    import cv2
    MISSING = ""
except ImportError as e:
    MISSING = {"torch": "no torch", "cv2": "no opencv", "numpy": "no numpy"}.get(e.name, f"no {e.name}")

if not MISSING:
    from assign import assign, cells, overlap
    from augment import PLAIN, Policy, make_batch
    from console import UserError
    from data import Pictures, find_dataset, free_windows, letterbox, read_labels
    from evaluate import AREAS, OnnxModel, TorchModel, Truth, average_precision, detections, matches, suppress
    from loss import Criterion, bin_loss, decode
    from model import BINS, Detector, arithmetic, load_weights, plain_widths, save_weights


def needs(*modules):
    """Skip a test when one of `modules` cannot be imported."""
    for m in modules:
        try:
            __import__(m)
        except ImportError:
            return unittest.skip(f"no {m}")
    return lambda test: test


def make_pictures(folder, count=12, side=96, seed=0):
    """Bright rectangles (class 0) and dark ones (class 1) on noise, with YOLO labels."""
    rng = np.random.default_rng(seed)
    for part in ("images", "labels"):
        os.makedirs(os.path.join(folder, part))
    for i in range(count):
        h, w = side - 8 * (i % 3), side
        image = rng.integers(90, 160, (h, w, 3)).astype(np.uint8)
        c, bw, bh = i % 2, int(rng.integers(20, 44)), int(rng.integers(20, 44))
        x, y = int(rng.integers(0, w - bw)), int(rng.integers(0, h - bh))
        image[y:y + bh, x:x + bw] = 250 if c == 0 else 5
        cv2.imwrite(os.path.join(folder, "images", f"{i}.png"), image)
        with open(os.path.join(folder, "labels", f"{i}.txt"), "w") as f:
            f.write(f"{c} {(x + bw / 2) / w} {(y + bh / 2) / h} {bw / w} {bh / h}\n")


def small_net(classes=2, seed=0):
    """A network with settled norms, so that every layer does something."""
    torch.manual_seed(seed)
    net = Detector(classes)
    net.train()
    with torch.no_grad():
        for _ in range(4):
            net(torch.rand(4, 3, 64, 64))
    return net.eval()


class TestBoxes(unittest.TestCase):
    def test_overlap_by_hand(self):
        a, b = torch.tensor([0.0, 0, 10, 10]), torch.tensor([5.0, 0, 15, 10])
        self.assertAlmostEqual(overlap(a, b).item(), 50 / 150, places=5)
        # same shape: CIoU = IoU - (distance of centres 5)^2 / (diagonal of the hull 15 x 10)^2
        self.assertAlmostEqual(overlap(a, b, True).item(), 1 / 3 - 25 / 325, places=5)
        thin = torch.tensor([0.0, 0, 10, 5])
        v = 4 / math.pi ** 2 * (math.atan(2) - math.atan(1)) ** 2
        expected = 0.5 - 2.5 ** 2 / 200 - v * v / (v - 0.5 + 1)
        self.assertAlmostEqual(overlap(a, thin, True).item(), expected, places=5)

    def test_cells(self):
        points, strides = cells(64, 32)
        self.assertEqual(len(points), 8 * 4 + 4 * 2 + 2 * 1)
        self.assertEqual(points[0].tolist(), [4, 4])
        self.assertEqual(points[5].tolist(), [12, 12])  # the second row starts after 32 / 8 = 4 cells
        self.assertEqual((points[-1].tolist(), strides[-1].item()), ([16, 48], 32))

    def test_suppress(self):
        boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], float)
        self.assertEqual(suppress(boxes, np.array([0.5, 0.9, 0.3]), 0.7).tolist(), [1, 2])
        self.assertEqual(suppress(boxes, np.array([0.5, 0.9, 0.3]), 0.9).tolist(), [1, 0, 2])


class TestAssign(unittest.TestCase):
    def setUp(self):
        self.points, self.strides = cells(64, 64)
        self.pred = torch.cat([self.points - 16, self.points + 16], -1)[None]
        self.scores = torch.full((1, len(self.points), 2), 0.5)

    def test_cells_of_one_box(self):
        boxes = torch.tensor([[[16.0, 16, 48, 48]]])
        box, score, fg = assign(self.scores, self.pred, self.points, boxes, torch.tensor([[1]]),
                                torch.tensor([[True]]))
        self.assertEqual(int(fg.sum()), 10)
        inside = ((self.points > 16) & (self.points < 48)).all(-1)
        self.assertFalse((fg[0] & ~inside).any())
        self.assertTrue((box[0][fg[0]] == boxes[0, 0]).all())
        self.assertEqual(score[0, :, 0].sum().item(), 0)  # only the box's class is asked for
        # the best cell gets the best overlap as its target; the closest centres are 4 pixels off: (28 x 28)
        best = 28 * 28 / (2 * 32 * 32 - 28 * 28)
        self.assertAlmostEqual(score.max().item(), best, places=4)

    def test_contested_cell_goes_to_the_better_box(self):
        boxes = torch.tensor([[[16.0, 16, 48, 48], [8.0, 8, 56, 56]]])
        box, _, fg = assign(self.scores, self.pred, self.points, boxes, torch.tensor([[0, 1]]),
                            torch.tensor([[True, True]]))
        middle = ((self.points - 32).abs() < 6).all(-1) & fg[0]
        self.assertTrue((box[0][middle] == boxes[0, 0]).all())

    def test_absent_and_tiny(self):
        boxes = torch.tensor([[[30.0, 30, 33, 33], [0.0, 0, 64, 64]]])
        _, _, fg = assign(self.scores, self.pred, self.points, boxes, torch.tensor([[0, 0]]),
                          torch.tensor([[True, False]]))
        near = ((self.points - 31.5).abs() < 6).all(-1)
        self.assertTrue(fg.any())
        self.assertFalse((fg[0] & ~near).any())


class TestLoss(unittest.TestCase):
    def test_bins_by_hand(self):
        raw = torch.zeros(1, 1, 4 * BINS)  # every bin equally likely
        self.assertAlmostEqual(bin_loss(raw, torch.full((1, 1, 4), 3.25)).item(), math.log(BINS), places=5)
        sure = raw.clone().unflatten(-1, (4, BINS))
        sure[..., 3], sure[..., 4] = math.log(0.75 * 1e6), math.log(0.25 * 1e6)
        loss = bin_loss(sure.flatten(-2), torch.full((1, 1, 4), 3.25)).item()
        entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
        self.assertAlmostEqual(loss, entropy, places=3)

    def test_decode(self):
        raw = torch.full((1, 1, 4, BINS), -50.0)
        for side, value in enumerate((1, 2, 3, 4)):
            raw[0, 0, side, value] = 50
        box = decode(raw.flatten(-2), torch.tensor([[100.0, 100.0]]), torch.tensor([8.0]))
        self.assertTrue(torch.allclose(box[0, 0], torch.tensor([92.0, 84, 124, 132]), atol=1e-3))

    def test_picture_without_boxes(self):
        c = Criterion((64, 64), "cpu")
        A = len(c.points)
        raw = torch.zeros(1, A, 4 * BINS + 1, requires_grad=True)
        none = torch.zeros(1, 3, dtype=torch.long)
        loss, parts = c(raw, torch.zeros(1, 3, 4), none, none.bool())
        self.assertEqual(parts[0].item(), 0)
        self.assertAlmostEqual(parts[1].item(), A * math.log(2), delta=1e-2)  # every logit 0: log 2 a cell
        self.assertAlmostEqual(loss.item(), 0.5 * A * math.log(2), delta=1e-2)
        loss.backward()
        self.assertTrue(torch.isfinite(raw.grad).all())

    def test_distilling_from_itself(self):
        c = Criterion((64, 64), "cpu")
        torch.manual_seed(0)
        raw = torch.randn(2, len(c.points), 4 * BINS + 3)
        mine = raw.clone().requires_grad_()
        c.distil(mine, raw).backward()
        self.assertLess(mine.grad[..., 4 * BINS:].abs().max().item(), 1e-6)  # equal scores: no pull


class TestEvaluate(unittest.TestCase):
    def data(self):
        rng = np.random.default_rng(3)
        rows, dets = [], []
        for i in range(25):
            n = int(rng.integers(1, 7))
            xy, wh = rng.uniform(0, 400, (n, 2)), rng.uniform(8, 200, (n, 2))
            boxes = np.concatenate([xy, xy + wh], 1)
            rows += [(i, int(rng.integers(0, 3)), int(rng.random() < 0.15), *b) for b in boxes]
            noisy = np.concatenate([boxes, boxes[rng.integers(0, n, 5)]]) + rng.normal(0, 12, (n + 5, 4))
            noisy[:, 2:] = np.maximum(noisy[:, 2:], noisy[:, :2] + 1)
            score = np.round(rng.random(len(noisy)), 3)
            dets.append(np.column_stack([rng.integers(0, 3, len(noisy)), score, noisy]))
        return rows, dets

    def test_perfect_and_empty(self):
        truth = Truth(["a"], [(0, 0, 0, 10, 10, 50, 50)], {0: "x"})
        hit = [np.array([[0, 0.9, 10, 10, 50, 50]])]
        self.assertTrue(np.allclose(average_precision(matches(hit, truth, 0, 0)), 1))
        self.assertTrue(np.allclose(average_precision(matches([np.zeros((0, 6))], truth, 0, 0)), 0))

    @needs("pycocotools")
    def test_against_pycocotools(self):
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
        rows, dets = self.data()
        truth = Truth([str(i) for i in range(25)], rows, {0: "a", 1: "b", 2: "c"})
        coco = COCO()
        coco.dataset = dict(
            images=[dict(id=i, width=640, height=640) for i in range(25)], categories=[dict(id=c) for c in range(3)],
            annotations=[dict(id=k + 1, image_id=i, category_id=c, iscrowd=crowd, area=(x1 - x0) * (y1 - y0),
                              bbox=[x0, y0, x1 - x0, y1 - y0])
                         for k, (i, c, crowd, x0, y0, x1, y1) in enumerate(rows)])
        found = [dict(image_id=i, category_id=int(d[0]), score=d[1], bbox=[d[2], d[3], d[4] - d[2], d[5] - d[3]])
                 for i, ds in enumerate(dets) for d in ds]
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
            for c in range(3):
                e = COCOeval(coco, coco.loadRes(found), "bbox")
                e.params.catIds = [c]
                e.evaluate()
                e.accumulate()
                e.summarize()
                mine = average_precision(matches(dets, truth, c, c))
                self.assertAlmostEqual(mine.mean(), e.stats[0], places=9)
                self.assertAlmostEqual(mine[0], e.stats[1], places=9)
                for k, area in enumerate(AREAS.values()):
                    mine = average_precision(matches(dets, truth, c, c, area=area)).mean()
                    self.assertAlmostEqual(-1 if np.isnan(mine) else mine, e.stats[3 + k], places=9)

    def test_places_go_back(self):
        image = np.zeros((50, 100, 3), np.uint8)
        box, place = letterbox(image, 416, 416)
        self.assertEqual((box[0, 0, 0], box[208, 208, 0], place), (114, 0, (4.16, 4.16, 0, 104)))
        out = np.zeros((5, 1), np.float32)
        out[:, 0] = (208, 208, 416, 208, 0.9)  # the whole picture
        d = detections(out[None], [place], [(50, 100)])[0]
        self.assertTrue(np.allclose(d[0, 2:], [0, 0, 100, 50]))


class TestData(unittest.TestCase):
    def test_windows_avoid_boxes(self):
        boxes = [(100, 100, 160, 300), (200, 50, 240, 120)]
        found = free_windows(boxes, 320, 320)
        self.assertTrue(found)
        for x0, y0, x1, y1 in found:
            self.assertGreaterEqual(min(x1 - x0, y1 - y0), 96)
            for b in boxes:
                self.assertFalse(min(x1, b[2]) > max(x0, b[0]) and min(y1, b[3]) > max(y0, b[1]))

    def test_labels_and_mistakes(self):
        with tempfile.TemporaryDirectory() as t:
            make_pictures(t, 3)
            first = os.path.join(t, "images", "0.png")
            self.assertEqual(len(read_labels(first)), 1)
            self.assertEqual(read_labels(first, remap={1: 0}), [])
            for text, words in (("0 0.5 0.5\n", "expected 'class cx cy w h'"), ("7 .5 .5 .1 .1\n", "class 7"),
                                ("0 50 50 10 10\n", "fractions"), ("cat .5 .5 .1 .1\n", "not numbers")):
                with open(os.path.join(t, "labels", "0.txt"), "w") as f:
                    f.write(text)
                with self.assertRaisesRegex(UserError, words):
                    read_labels(first, 2)
            with self.assertRaisesRegex(UserError, "no such file"):
                find_dataset(os.path.join(t, "nowhere"))

    def test_augmented_boxes_stay_on_their_objects(self):
        with tempfile.TemporaryDirectory() as t:
            make_pictures(t, 6)
            d = find_dataset(t)
            data = Pictures(d.train, 96, torch.device("cpu"), [0, 1], 2, d.remap)
            torch.manual_seed(0)
            policy = Policy(background=0, sharpen=0, colour=0, erase=0, mixup=0)
            x, boxes, classes, present = make_batch(data, 16, (96, 96), policy, 8)
            self.assertGreater(int(present.sum()), 16)
            for i, j in present.nonzero().tolist():
                x0, y0, x1, y1 = boxes[i, j].tolist()
                centre = x[i, :, int((y0 + y1) / 2), int((x0 + x1) / 2)].mean().item()
                self.assertTrue(centre > 0.9 if classes[i, j] == 0 else centre < 0.1, (i, j, centre))

    def test_background_has_no_boxes(self):
        with tempfile.TemporaryDirectory() as t:
            make_pictures(t, 6, side=256)
            d = find_dataset(t)
            data = Pictures(d.train, 256, torch.device("cpu"), [0, 1], 2, d.remap)
            self.assertTrue((data.windows > 0).all())
            policy = Policy(background=1, erase=0, mixup=0)
            self.assertEqual(int(make_batch(data, 8, (128, 128), policy, 8)[3].sum()), 0)


class TestTraining(unittest.TestCase):
    def train(self, folder, out, *extra):
        import train
        with contextlib.redirect_stdout(io.StringIO()) as said:
            train.main(["--data", folder, "--out", out, "--size", "96", "--batch", "4", "--device", "cpu",
                        "--val-split", "0.3", "--epochs", "1", *extra])
        return said.getvalue()

    @needs("onnx")
    def test_few_steps_resume_prune_and_integers(self):
        with tempfile.TemporaryDirectory() as t:
            make_pictures(os.path.join(t, "d"), 17)
            first = os.path.join(t, "run1")
            said = self.train(t + "/d", first)
            self.assertIn("3 steps", said)
            self.assertIn("AP50", said)
            before = torch.load(first + "/last.pt", weights_only=True)
            self.assertEqual(before["done"], 3)
            self.assertIn("6 steps", self.train(t + "/d", first, "--epochs", "2", "--resume"))
            with self.assertRaisesRegex(UserError, "already holds a run"):
                self.train(t + "/d", first)
            weights = ["--weights", first + "/model.pt"]
            self.assertIn("model.onnx", self.train(t + "/d", t + "/run2", *weights, "--qat"))
            self.assertIn("6 steps", self.train(t + "/d", t + "/run2", "--qat", "--resume", "--epochs", "2"))
            with self.assertRaisesRegex(UserError, "--qat"):
                self.train(t + "/d", t + "/run2", "--resume", "--epochs", "3")
            self.assertIn("model.onnx", self.train(t + "/d", t + "/run3", *weights, "--prune", "0.3"))
            self.assertIn("6 steps", self.train(t + "/d", t + "/run3", "--resume", "--epochs", "2"))
            pruned, names = load_weights(t + "/run3/model.pt")
            self.assertEqual(names, {0: "class0", 1: "class1"})
            self.assertTrue(all(w % 16 == 0 for w in pruned.widths.values()))
            self.train(t + "/d", t + "/run4", "--teacher", first + "/model.pt", "--keep", "class1", "--weights",
                       first + "/model.onnx")

    @needs("onnx")
    def test_known_classes_keep_their_scores(self):
        from train import start_from
        net = small_net()
        with tempfile.TemporaryDirectory() as t:
            save_weights(t + "/m.pt", net, {0: "a", 1: "b"})
            grown = start_from(t + "/m.pt", {0: "c", 1: "a", 2: "b"}, None).eval()
            x = torch.rand(1, 3, 64, 64)
            with torch.no_grad():
                self.assertLess((grown(x)[..., -2:] - net(x)[..., -2:]).abs().max().item(), 0.05)

    def test_clear_mistakes(self):
        import train
        for words, args in (("multiple of 32", ["--size", "100"]), ("need a trained network", ["--qat"]),
                            ("between 0 and 0.9", ["--prune", "2", "--weights", "x.pt"])):
            with self.assertRaisesRegex(UserError, words):
                train.parse(["--data", "d", "--out", "o", *args])
        with tempfile.TemporaryDirectory() as t:
            with open(t + "/x.pt", "w") as f:
                f.write("not a checkpoint")
            with self.assertRaisesRegex(UserError, "not a checkpoint"):
                load_weights(t + "/x.pt")

    def test_plain_batch_is_the_picture(self):
        """Without augmentation a picture that fits exactly comes through unchanged."""
        with tempfile.TemporaryDirectory() as t:
            make_pictures(t, 1, side=96)
            d = find_dataset(t)
            data = Pictures(d.train, 96, torch.device("cpu"), [0, 1], 2, d.remap)
            torch.manual_seed(1)
            x, boxes, _, present = make_batch(data, 4, (96, 96), PLAIN, 4)
            stored = data.store[0].float() / 255
            same = [min((p - q).abs().max().item() for q in (stored, stored.flip(2))) for p in x]
            self.assertLess(max(same), 1e-3)
            self.assertEqual(present.sum(1).tolist(), [1] * 4)


@needs("onnx", "onnxruntime")
class TestExport(unittest.TestCase):
    def compare(self, net, path, tolerance):
        names = {0: "a", 1: "b"}
        model = OnnxModel(path)
        self.assertEqual(model.names, names)
        for h, w in ((64, 64), (96, 64), (64, 128)):
            x = torch.rand(1, 3, h, w).numpy()
            mine, its = TorchModel(net, names, (h, w))(x), model(x)
            self.assertEqual(its.shape, mine.shape)
            scale = np.abs(mine[:, :4]).max()
            self.assertLess(np.abs(its - mine)[:, :4].max() / scale, tolerance)
            self.assertLess(np.abs(its - mine)[:, 4:].max(), tolerance)

    def export(self, net, path, **options):
        import copy
        from export import export
        export(copy.deepcopy(net), {0: "a", 1: "b"}, path, **options)

    def test_float_and_half(self):
        import onnx
        net = small_net()
        with tempfile.TemporaryDirectory() as t:
            self.export(net, t + "/f.onnx", half=False)
            self.compare(net, t + "/f.onnx", 1e-4)
            self.export(net, t + "/h.onnx", conf=0.4)
            self.compare(net, t + "/h.onnx", 1e-3)
            self.assertLess(os.path.getsize(t + "/h.onnx"), 6e6)
            model = onnx.load(t + "/h.onnx")
            self.assertLessEqual(model.ir_version, 10)
            self.assertEqual({p.key: p.value for p in model.metadata_props}["conf"], "0.4")
            self.assertEqual(OnnxModel(t + "/h.onnx").conf, 0.4)

    def test_some_classes_only(self):
        net = small_net()
        with tempfile.TemporaryDirectory() as t:
            self.export(net, t + "/b.onnx", half=False, keep=[1])
            model = OnnxModel(t + "/b.onnx")
            self.assertEqual(model.names, {0: "b"})
            x = torch.rand(1, 3, 64, 64).numpy()
            whole = TorchModel(net, {0: "a", 1: "b"}, (64, 64))(x)
            self.assertLess(np.abs(model(x)[:, 4] - whole[:, 5]).max(), 1e-5)

    def test_training_can_start_from_the_file(self):
        from export import load_onnx
        net = small_net()
        with tempfile.TemporaryDirectory() as t:
            self.export(net, t + "/f.onnx", half=False)
            back, names = load_onnx(t + "/f.onnx", torch.rand(2, 3, 64, 64))
            self.assertEqual((back.widths, names), (net.widths, {0: "a", 1: "b"}))
            self.compare(back, t + "/f.onnx", 1e-4)

    def test_pruned(self):
        from prune import choose, prune, shrink
        net = small_net()
        same = shrink(net, {g: torch.arange(w) for g, w in net.widths.items()}).eval()
        x = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            self.assertTrue(torch.equal(net(x), same(x)))
        small = prune(net, 0.4, 64).eval()
        self.assertTrue(all(w % 16 == 0 and w >= 16 for w in small.widths.values()))
        share = arithmetic(small.widths, 2, (64, 64)) / arithmetic(net.widths, 2, (64, 64))
        self.assertTrue(0.5 < share <= 0.6, share)
        self.assertEqual({g: len(i) for g, i in choose(net, 0.4, 64).items()}, small.widths)
        with tempfile.TemporaryDirectory() as t:
            self.export(small, t + "/p.onnx", half=False)
            self.compare(small, t + "/p.onnx", 1e-4)

    def test_integers(self):
        from quantise import prepare
        net = prepare(small_net(), [torch.rand(4, 3, 64, 64)])
        with tempfile.TemporaryDirectory() as t:
            self.export(net, t + "/q.onnx")
            self.compare(net, t + "/q.onnx", 2e-2)  # a value may round to the neighbouring integer
            import onnx
            kinds = {n.op_type for n in onnx.load(t + "/q.onnx").graph.node}
            self.assertLessEqual({"QuantizeLinear", "DequantizeLinear"}, kinds)


class TestModel(unittest.TestCase):
    def test_widths(self):
        for width in (0.5, 1.0, 1.5, 2.0):
            self.assertTrue(all(w % 16 == 0 for w in plain_widths(width).values()))

    def test_folding_and_saving(self):
        net = small_net()
        x = torch.rand(1, 3, 64, 64)
        with tempfile.TemporaryDirectory() as t, torch.no_grad():
            save_weights(t + "/m.pt", net, {0: "a", 1: "b"})
            back, names = load_weights(t + "/m.pt")
            self.assertEqual(names, {0: "a", 1: "b"})
            want = net(x)
            self.assertLess((back(x) - want).abs().max().item(), 0.05)  # fp16 on disk
            self.assertLess((net.fuse()(x) - want).abs().max().item(), 1e-3)


def main():
    if MISSING:
        print(f"skipped: {MISSING}")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    bad, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    for test, why in result.skipped:
        print(f"skipped: {test}: {why}")
    print(f"{result.testsRun - bad - skipped} passed, {bad} failed, {skipped} skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
