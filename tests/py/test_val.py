"""slipway val: the numbers of pycocotools on boxes, masks and keypoints; datasets of every form; what is wrong with them."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import cv2
import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import slipway

KEYS = ["mAP50-95", "mAP50", "mAP75", "mAP50-95_small", "mAP50-95_medium", "mAP50-95_large"]


def outline(random, x, y, w, h):
    """A ragged polygon in a box."""
    angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 12)))
    radius = random.uniform(0.5, 1, angles.size)
    points = np.stack([x + w / 2 + w / 2 * radius * np.cos(angles), y + h / 2 + h / 2 * radius * np.sin(angles)], 1)
    return [round(float(v), 2) for v in points.ravel()]


class Made(unittest.TestCase):
    """A dataset of made up objects, and guesses near them."""

    CLASSES, IMAGES, WIDTH, HEIGHT, POINTS = 5, 12, 320, 240, 17

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        random = self.random = np.random.default_rng(3)
        images = [
            {"id": 10 * i + 3, "file_name": f"{i}.jpg", "width": self.WIDTH, "height": self.HEIGHT} for i in range(self.IMAGES)
        ]
        categories = [{"id": 2 * i + 1, "name": f"thing {i}"} for i in range(self.CLASSES)]
        self.truth = {"images": images, "categories": categories, "annotations": []}
        self.guesses = []
        for image in images:
            for _ in range(random.integers(0, 9)):
                self.add(image["id"])
        self.annotations = self.folder / "instances.json"
        self.annotations.write_text(json.dumps(self.truth))
        cv2.imwrite(str(self.folder / "0.jpg"), np.zeros((self.HEIGHT, self.WIDTH, 3), np.uint8))

    def add(self, image):
        random = self.random
        w, h = random.uniform(4, 200, 2)
        x, y = random.uniform(-5, self.WIDTH - 20), random.uniform(-5, self.HEIGHT - 20)
        shape = outline(random, x, y, w, h)
        crowd = bool(random.random() < 0.1)
        points = np.stack([random.uniform(x, x + w, 17), random.uniform(y, y + h, 17), random.integers(0, 3, 17)], 1)
        annotation = {
            "id": len(self.truth["annotations"]) + 1,
            "image_id": image,
            "category_id": int(random.integers(0, self.CLASSES)) * 2 + 1,
            "bbox": [x, y, w, h],
            "area": w * h * 0.6,
            "iscrowd": int(crowd),
            "segmentation": [shape],
            "keypoints": [float(v) for v in points.ravel()],
            "num_keypoints": int((points[:, 2] > 0).sum()),
        }
        if crowd:  # run lengths, as COCO has crowds
            runs = coco_mask.frPyObjects([shape], self.HEIGHT, self.WIDTH)[0]
            pixels = coco_mask.decode(runs).T.ravel()
            edges = np.flatnonzero(np.diff(np.concatenate([[0], pixels, [2]]).astype(int)))
            annotation["segmentation"] = {
                "size": [self.HEIGHT, self.WIDTH],
                "counts": [int(v) for v in np.diff(np.concatenate([[0], edges]))],
            }
        self.truth["annotations"].append(annotation)
        for _ in range(random.integers(0, 4)):
            move = random.normal(0, 0.12, 4) * [w, h, w, h]
            bx, by, bw, bh = np.array([x, y, w, h]) + move
            guess = outline(random, bx, by, max(bw, 2), max(bh, 2)) if random.random() < 0.3 else shape
            runs = coco_mask.frPyObjects([guess], self.HEIGHT, self.WIDTH)[0]
            near = points.copy()
            near[:, :2] += random.normal(0, 0.05, (17, 2)) * [w, h]
            self.guesses.append(
                {
                    "image_id": image,
                    "category_id": annotation["category_id"] if random.random() < 0.8 else 1,
                    "bbox": [float(bx), float(by), float(max(bw, 2)), float(max(bh, 2))],
                    "segmentation": {"size": runs["size"], "counts": runs["counts"].decode()},
                    "keypoints": [float(v) for v in near.ravel()],
                    "score": round(float(random.random()), 2),  # so that there are ties
                }
            )

    def compare(self, kind, name, fields):
        found = [{key: guess[key] for key in ("image_id", "category_id", "score", *fields)} for guess in self.guesses]
        path = self.folder / "found.json"
        path.write_text(json.dumps(found))
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(self.annotations))
            judge = COCOeval(truth, truth.loadRes(str(path)), kind)
            judge.evaluate(), judge.accumulate(), judge.summarize()
        run = slipway.run("val", "--predictions", path, "--data", self.annotations, "--json", "-")
        numbers = json.loads(run.stdout)[name]
        none = lambda v: -1 if v is None else v
        got = [none(numbers[key]) for key in KEYS]
        stats = judge.stats
        want = stats[:6] if kind != "keypoints" else [*stats[:3], got[3], *stats[3:5]]
        np.testing.assert_allclose(got, want, atol=1e-9)
        self.assertGreater(got[0], 0.05)
        if kind != "keypoints":
            recalls = [numbers["recall_at"][key] for key in ("1", "10", "max")]
            recalls += [none(numbers["recall_by_size"][key]) for key in ("small", "medium", "large")]
            np.testing.assert_allclose(recalls, stats[6:12], atol=1e-9)

    def test_boxes(self):
        self.compare("bbox", "boxes", ["bbox"])

    def test_masks(self):
        self.compare("segm", "masks", ["segmentation"])

    def test_keypoints(self):
        self.compare("keypoints", "keypoints", ["keypoints"])

    def test_what_is_wrong_is_said(self):
        def fails(code, words, *args):
            run = slipway.run("val", *args, expect=code)
            self.assertRegex(run.stderr, words)
            self.assertEqual(run.stderr.count("\n"), 1)

        good, path = self.guesses[0], self.folder / "bad.json"
        for words, change in (
            ("category 999", {"category_id": 999}),
            ("expected a number", {"score": "x"}),
            ("bbox", {"bbox": [1, 2, 3]}),
            ("run lengths", {"segmentation": {"size": [self.HEIGHT, self.WIDTH], "counts": "0"}}),
        ):
            path.write_text(json.dumps([{**good, **change}]))
            fails(3, words, "--predictions", path, "--data", self.annotations)
        path.write_text("[")
        fails(3, "line 1", "--predictions", path, "--data", self.annotations)
        fails(1, "--data", "--predictions", path)
        fails(1, "either", "--data", self.annotations)
        empty = self.folder / "empty"
        empty.mkdir()
        fails(3, "nothing here tells", "--predictions", path, "--data", empty)


def still_model(path, rows, names):
    """A detector 1x3x64x64 that finds the same whatever it sees: rows of x y w h and a score a class."""
    table = np.array(rows, np.float32).T[None]
    zero = helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0)
    nodes = [
        zero,
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
        helper.make_node("Reshape", ["none", "shape"], ["flat"]),
        helper.make_node("Add", ["table", "flat"], ["output0"]),
    ]
    constants = [
        helper.make_tensor("zero", T.FLOAT, [], [0.0]),
        helper.make_tensor("shape", T.INT64, [3], [1, 1, 1]),
        helper.make_tensor("table", T.FLOAT, table.shape, table.ravel()),
    ]
    graph = helper.make_graph(
        nodes,
        "still",
        [helper.make_tensor_value_info("images", T.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("output0", T.FLOAT, table.shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in {"task": "detect", "names": str(dict(enumerate(names))), "stride": "32"}.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)


class Datasets(unittest.TestCase):
    """The same picture and boxes as COCO, as label files, as data.yaml."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        (self.folder / "images/val").mkdir(parents=True)
        (self.folder / "labels/val").mkdir(parents=True)
        for name in ("a", "b"):
            cv2.imwrite(str(self.folder / f"images/val/{name}.png"), np.zeros((64, 64, 3), np.uint8))
        (self.folder / "labels/val/a.txt").write_text("1 0.5 0.5 0.25 0.25\n0 0.25 0.25 0.25 0.25\n")
        # 84 anchors make a head of YOLOv8 for 64 x 64 pixels.
        anchors = [[32, 32, 16, 16, 0.0, 0.9], [16, 16, 16, 16, 0.8, 0.0], [50, 50, 8, 8, 0.0, 0.3]]
        anchors += [[0, 0, 1, 1, 0.0, 0.0]] * (84 - len(anchors))
        self.model = self.folder / "still.onnx"
        still_model(self.model, anchors, ["cat", "dog"])

    def val(self, *args):
        return json.loads(slipway.run("val", self.model, "--json", "-", *args).stdout)

    def check(self, numbers):
        boxes = numbers["boxes"]
        self.assertEqual((numbers["images"], boxes["objects"]), (2, 2))
        # Each class is found in a, with a guess too many in b (and a third for dogs): 1, and 1 of the first.
        self.assertEqual([c["name"] for c in boxes["classes"]], ["cat", "dog"])
        self.assertAlmostEqual(boxes["mAP50"], 1.0, places=6)

    def test_label_files(self):
        self.check(self.val("--data", self.folder))

    def test_yaml(self):
        path = self.folder / "data.yaml"
        path.write_text(f"path: {self.folder}\nval: images/val\nnames: [cat, dog]\n")
        self.check(self.val("--data", path))
        listed = self.folder / "list.txt"
        listed.write_text("./images/val/a.png\n./images/val/b.png\n")
        path.write_text("val: list.txt\nnames: {0: cat, 1: dog}\n")
        self.check(self.val("--data", path))
        path.write_text("val: nowhere\nnames: [cat, dog]\n")
        run = slipway.run("val", self.model, "--data", path, expect=3)
        self.assertIn("nowhere", run.stderr)

    def test_classes_meet_by_name(self):
        path = self.folder / "data.yaml"
        path.write_text(f"path: {self.folder}\nval: images/val\nnames: [bird, dog]\n")
        run = slipway.run("val", self.model, "--data", path, "--json", "-")
        boxes = json.loads(run.stdout)["boxes"]
        self.assertEqual([c["name"] for c in boxes["classes"]], ["dog"])
        self.assertIn("left out", run.stderr)

    def test_broken_labels_name_their_line(self):
        label = self.folder / "labels/val/a.txt"
        for text in ("0 0.5 0.5 0.1 0.1\n0 x\n", "0 0.5 0.5 0.1 0.1\n\n0 0.1 0.1\n", "0 1 1 1 1\n5 0.5 0.5 0.1 0.1"):
            label.write_text(text)
            run = slipway.run("val", self.model, "--data", self.folder, expect=3)
            self.assertRegex(run.stderr, r"a\.(txt|png)")
            self.assertEqual(run.stdout, "")

    def test_plots_and_predictions_come_out(self):
        found, plots = self.folder / "found.json", self.folder / "plots"
        slipway.run("val", self.model, "--data", self.folder, "--save-json", found, "--plots", plots)
        self.assertEqual(sorted(p.name for p in plots.iterdir()), ["confusion_matrix.svg", "pr_curve.svg"])
        for path in plots.iterdir():
            self.assertTrue(path.read_text().rstrip().endswith("</svg>"))
        self.assertEqual(len(json.loads(found.read_text())), 6)
        slipway.run("val", self.model, "--data", self.folder, "--json", self.folder / "no/n.json", expect=3)


class Real(unittest.TestCase):
    def test_yolo11n_has_the_map_of_onnx_runtime(self):
        """What bench/accuracy --limit 60 finds with ONNX Runtime, prepared and suppressed alike: 0.4536."""
        model, data = slipway.data("models/yolo11n.onnx"), slipway.data("coco/val/instances.json")
        run = slipway.run("val", model, "--data", data, "--limit", "60", "--json", "-")
        self.assertAlmostEqual(json.loads(run.stdout)["boxes"]["mAP50-95"], 0.4536, delta=3e-4)


if __name__ == "__main__":
    unittest.main()
