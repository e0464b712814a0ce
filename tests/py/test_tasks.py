"""Masks, keypoints, rotated boxes, classes and transformers against Ultralytics' predict: models with random weights, made on
the spot, and checkpoints of the data folder. Random boxes are garbage, but must agree."""

import importlib.util
import json
import os
import pathlib
import shutil
import tempfile
import unittest
import warnings

import numpy as np

import slipway

SIDE = 320
PICTURES = ("bus", "dog", "person")
BOXES = 25  # the threshold lies behind so many of the surest


def packages():
    os.environ["YOLO_OFFLINE"] = "1"
    os.environ["YOLO_VERBOSE"] = "False"
    try:
        import torch
        import ultralytics
    except ImportError:
        raise unittest.SkipTest("no ultralytics")
    return torch, ultralytics


def calibrated(torch, model, picture):
    """Random weights whose values on a picture neither vanish nor are all alike, so that few scores are near each other."""
    layers = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.weight.data.uniform_(0.7, 1.4)
        layer.bias.data.normal_(0, 0.3)
    model.eval()
    for layer in layers:
        layer.train()
        layer.momentum = 1.0
    with torch.no_grad():
        model(picture.repeat(2, 1, 1, 1) + torch.rand(2, 3, 1, 1) * 0.1)
    for layer in layers:
        layer.eval()
        layer.momentum = 0.03

    def scale(layer, _, output, scores):
        layer.weight.data *= float((2.0 if scores else 1.0) / output.std().clamp(min=1e-6))
        if scores:
            layer.bias.data.normal_(-7, 1)

    hooks = []
    for name in ("cv2", "cv3", "cv4", "one2one_cv2", "one2one_cv3", "one2one_cv4"):
        for branch in getattr(model.model[-1], name, None) or ():
            last = [m for m in branch.modules() if isinstance(m, torch.nn.Conv2d)][-1]
            hooks.append(last.register_forward_hook(lambda *a, s="cv3" in name: scale(*a, s)))
    with torch.no_grad():
        model(picture)
    for hook in hooks:
        hook.remove()


def distance(ours, theirs):
    """How far two rows (class, confidence, places) are apart; infinite for different classes or confidences."""
    same = ours[0] == theirs[0] and abs(ours[1] - theirs[1]) < 1e-3
    return np.abs(ours[2:] - theirs[2:]).max() if same else np.inf


class Ultralytics(unittest.TestCase):
    """Checkpoints, and what Ultralytics' predict and Slipway's find with a model."""

    @classmethod
    def setUpClass(cls):
        cls.torch, cls.ultralytics = packages()
        cls.picture = slipway.data("images/bus.jpg")
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        warnings.simplefilter("ignore")

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls, "temporary"):
            cls.temporary.cleanup()

    def kind(self, name):
        return self.ultralytics.RTDETR if name.startswith("rtdetr") else self.ultralytics.YOLO

    def checkpoint(self, name):
        import cv2

        path = self.folder / f"{name}.pt"
        if path.exists():
            return path
        self.torch.manual_seed(3)
        model = self.kind(name)(f"{name}.yaml")
        image = cv2.resize(cv2.imread(str(self.picture)), (SIDE, SIDE))[:, :, ::-1].copy()
        calibrated(self.torch, model.model, self.torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        arguments = {"imgsz": SIDE, "task": model.task}
        model.model.args = arguments
        self.torch.save({"model": model.model, "train_args": arguments, "version": "8.4.0", "date": "none"}, path)
        return path

    def exported(self, name, **options):
        path = self.folder / f"{name}_{'_'.join(options)}.onnx"
        if not path.exists():
            copy = self.folder / "export.pt"  # exporting writes beside the checkpoint
            shutil.copy(self.checkpoint(name), copy)
            self.kind(name)(copy).export(format="onnx", imgsz=SIDE, opset=17, simplify=False, **options)
            copy.with_suffix(".onnx").rename(path)
        return path

    def predict(self, path, *options):
        process = slipway.run("predict", path, self.picture, "--quiet", "--json", "-", *options)
        return json.loads(process.stdout)[0]

    def both(self, path, name, size=SIDE):
        """Results of both at a threshold that lies between two scores."""
        model = self.kind(name)(path)
        options = {"imgsz": size, "verbose": False}
        first = model.predict(str(self.picture), conf=1e-5, **options)[0]
        scores = sorted((first.obb if first.obb is not None else first.boxes).conf.tolist(), reverse=True)
        self.assertGreater(len(scores), BOXES + 1)
        conf = (scores[BOXES - 1] + scores[BOXES]) / 2
        theirs = model.predict(str(self.picture), conf=conf, **options)[0]
        ours = self.predict(path, "--conf", conf, "--imgsz", size)
        return theirs, ours, conf

    def pairs(self, theirs, ours, spare=2):
        """Indices of detections that are the same; all but `spare` (of scores that rounding sets in another order, of points
        that it hides) must be."""
        boxes = theirs.obb if theirs.obb is not None else theirs.boxes
        places = theirs.obb.xywhr if theirs.obb is not None else theirs.boxes.xyxy
        height, width = theirs.orig_shape
        want = np.column_stack([boxes.cls, boxes.conf, places]).astype(float)
        if theirs.obb is None:
            want[:, 2:] = want[:, 2:].clip(0, [width, height, width, height])
        if theirs.keypoints is not None:  # cut boxes may be alike
            want = np.column_stack([want, theirs.keypoints.xy.reshape(len(want), -1)])
        found, free = [], set(range(len(want)))
        for i, detection in enumerate(ours["detections"]):
            place = [detection["obb"][key] for key in "xywhr"] if theirs.obb is not None else detection["box"]
            points = np.array(detection.get("keypoints", []))[..., :2].reshape(-1)
            row = np.array([detection["class_id"], detection["confidence"], *place, *points])
            nearest = min(free, key=lambda k: distance(row, want[k]), default=None)
            if nearest is not None and distance(row, want[nearest]) < 0.5:
                free.remove(nearest)
                found.append((i, nearest))
        self.assertGreaterEqual(len(found), max(len(want), len(ours["detections"])) - spare)
        return found

class Tasks(Ultralytics):
    def check_masks(self, path, name):
        from pycocotools import mask as coco
        from ultralytics.utils import ops

        theirs, ours, conf = self.both(path, name)
        masks = ops.scale_masks(theirs.masks.data[None].float(), theirs.orig_shape)[0].numpy() > 0.5
        pairs = self.pairs(theirs, ours)
        for i, k in pairs:
            mask = ours["detections"][i]["mask"]
            self.assertEqual(mask["size"], list(theirs.orig_shape))
            differ = coco.decode(mask).astype(bool) != masks[k]
            self.assertLess(differ.sum(), 0.005 * masks[k].sum() + 20)
        # label files: outlines of most masks equal point by point, others differ by a pixel that rounding decides
        slipway.run("predict", path, self.picture, "--quiet", "--txt", self.folder, "--conf", conf, "--imgsz", SIDE)
        lines = [line.split() for line in (self.folder / "bus.txt").read_text().splitlines()]
        want = [np.array(points).reshape(-1) for points in theirs.masks.xyn]
        same = 0
        for line in lines:
            values = np.array(line[1:-1], float)
            same += any(len(values) == len(w) and np.abs(values - w).max() < 1e-4 for w in want)
        self.assertGreater(same, len(lines) / 2)

    def test_segment_checkpoint(self):
        self.check_masks(self.checkpoint("yolo11n-seg"), "yolo11n-seg")

    def test_segment_dynamic(self):
        path = self.exported("yolo11n-seg", dynamic=True)
        self.check_masks(path, "yolo11n-seg")
        theirs, ours, _ = self.both(path, "yolo11n-seg", 256)
        self.pairs(theirs, ours)

    def check_keypoints(self, path, name):
        theirs, ours, _ = self.both(path, name)
        for i, k in self.pairs(theirs, ours):
            points = np.array(ours["detections"][i]["keypoints"])
            self.assertLess(np.abs(points - theirs.keypoints.data[k].numpy()).max(), 0.5)

    def test_pose_checkpoint(self):
        self.check_keypoints(self.checkpoint("yolo11n-pose"), "yolo11n-pose")

    def test_pose_end_to_end(self):
        self.check_keypoints(self.exported("yolo26n-pose", nms=False), "yolo26n-pose")

    def check_rotated(self, path, name):
        theirs, ours, _ = self.both(path, name)
        for i, k in self.pairs(theirs, ours):
            points = np.array(ours["detections"][i]["obb"]["points"])
            self.assertLess(np.abs(points - theirs.obb.xyxyxyxy[k].numpy()).max(), 0.5)

    def test_obb_checkpoint(self):
        self.check_rotated(self.checkpoint("yolo11n-obb"), "yolo11n-obb")

    def test_obb_with_nms(self):
        self.check_rotated(self.exported("yolo11n-obb", nms=True, conf=1e-4), "yolo11n-obb")

    def test_rectangle(self):
        """Height and width apart, as Ultralytics takes them."""
        path = self.checkpoint("yolo11n-pose")
        model = self.ultralytics.YOLO(path)
        theirs = model.predict(str(self.picture), conf=0.05, imgsz=(256, 448), verbose=False)[0]
        self.pairs(theirs, self.predict(path, "--conf", 0.05, "--imgsz", "256x448"))

    def test_transformer(self):
        theirs, ours, _ = self.both(self.exported("rtdetr-l"), "rtdetr-l")
        self.pairs(theirs, ours)

    def test_checkpoints_of_other_families(self):
        """Those with two heads give what Ultralytics takes of a .pt: the rows that the NMS follows."""
        for name in ("yolov9t", "yolov10n", "yolo12n", "yolo26n", "rtdetr-l"):
            with self.subTest(name):
                theirs, ours, _ = self.both(self.checkpoint(name), name)
                self.pairs(theirs, ours)

    def test_tasks_of_yolo26(self):
        self.check_masks(self.checkpoint("yolo26n-seg"), "yolo26n-seg")
        self.check_keypoints(self.checkpoint("yolo26n-pose"), "yolo26n-pose")
        self.check_rotated(self.checkpoint("yolo26n-obb"), "yolo26n-obb")

    def check_classes(self, path):
        model, pictures = self.ultralytics.YOLO(path), [slipway.data("images", f"{n}.jpg") for n in PICTURES]
        results = json.loads(slipway.run("predict", path, *pictures, "--quiet", "--json", "-").stdout)
        for picture, result in zip(pictures, results):
            theirs, ours = model.predict(str(picture), verbose=False)[0], result["classes"]
            self.assertEqual([c["class_id"] for c in ours], theirs.probs.top5)
            self.assertEqual([c["class"] for c in ours], [theirs.names[i] for i in theirs.probs.top5])
            for c, want in zip(ours, theirs.probs.top5conf.tolist()):
                self.assertLess(abs(c["confidence"] - want), 1e-4)

    def test_classify_checkpoint(self):
        self.check_classes(shutil.copy(slipway.data("models/yolo11n-cls-10.pt"), self.folder / "cls.pt"))

    def test_classify_random(self):
        self.check_classes(self.checkpoint("yolov8n-cls"))


class Exports(Ultralytics):
    """Files that Slipway exports, in Ultralytics' YOLO() and in Slipway's predict: both find what YOLO() finds with the
    checkpoint, letterboxed to the square of the files."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for package in ("onnxruntime", "openvino", "ai_edge_litert"):
            if importlib.util.find_spec(package) is None:
                raise unittest.SkipTest(f"no {package}")
        import openvino

        original = openvino.Core.compile_model  # which would rather calculate in bfloat16 where the CPU can

        def compile_model(*arguments, config=None, **more):
            return original(*arguments, config={**(config or {}), "INFERENCE_PRECISION_HINT": "f32"}, **more)

        openvino.Core.compile_model = compile_model
        cls.addClassCleanup(setattr, openvino.Core, "compile_model", original)

    def files(self, checkpoint, *options):
        out = self.folder / f"{checkpoint.stem}_files"
        slipway.export( checkpoint, "--to", "onnx,openvino,tflite", "-o", out, "--force", *options)
        return sorted(out.iterdir())

    def as_ours(self, result):
        """Ultralytics' result as Slipway's JSON has it."""
        boxes, found = result.obb if result.obb is not None else result.boxes, []
        for i in range(len(boxes)):
            entry = {"class_id": int(boxes.cls[i]), "confidence": float(boxes.conf[i])}
            if result.obb is not None:
                entry["obb"] = dict(zip("xywhr", result.obb.xywhr[i].tolist()))
            else:
                entry["box"] = result.boxes.xyxy[i].tolist()
            if result.keypoints is not None:
                entry["keypoints"] = result.keypoints.data[i].tolist()
            found.append(entry)
        return {"detections": found, "masks": result.masks}

    def check(self, name, path=None, side=SIDE, spare=2):
        checkpoint = path or self.checkpoint(name)
        options = {"imgsz": side, "verbose": False}
        model = self.kind(name)(checkpoint)
        first = model.predict(str(self.picture), conf=1e-5, rect=False, **options)[0]
        scores = sorted((first.obb if first.obb is not None else first.boxes).conf.tolist(), reverse=True)
        conf = (scores[BOXES - 1] + scores[BOXES]) / 2 if path is None else 0.25
        theirs = model.predict(str(self.picture), conf=conf, rect=False, **options)[0]
        self.assertTrue(len(theirs))
        for file in self.files(checkpoint, "--imgsz", side):
            with self.subTest(file.name):
                loaded = self.kind(name)(file, task=model.task) if name[:2] == "yo" else self.kind(name)(file)
                by_them = self.as_ours(loaded.predict(str(self.picture), conf=conf, **options)[0])
                self.check_same(theirs, by_them, spare)
                self.check_same(theirs, self.predict(file, "--conf", conf), spare)

    def check_same(self, theirs, ours, spare=2):
        for i, k in self.pairs(theirs, ours, spare):
            if theirs.masks is None:
                continue
            detection = ours["detections"][i]
            want = theirs.masks.data[k].numpy() > 0.5
            if "mask" in detection:
                from pycocotools import mask as coco
                from ultralytics.utils import ops

                got = coco.decode(detection["mask"]).astype(bool)
                want = ops.scale_masks(theirs.masks.data[None].float(), theirs.orig_shape)[0].numpy()[k] > 0.5
            else:
                got = ours["masks"].data[i].numpy() > 0.5
            self.assertLess((got != want).sum(), 0.005 * want.sum() + 20)

    def test_detect(self):
        self.check("yolo11n", shutil.copy(slipway.data("models/yolo11n.pt"), self.folder / "yolo11n.pt"), 640)

    def test_end_to_end(self):
        self.check("yolo26n")

    def test_segment(self):
        self.check("yolo11n-seg")

    def test_pose(self):
        self.check("yolo11n-pose")

    def test_obb(self):
        self.check("yolo11n-obb")

    def test_transformer(self):
        self.check("rtdetr-l", spare=6)  # rounding changes which places of the picture become queries

    def test_classify(self):
        checkpoint = shutil.copy(slipway.data("models/yolo11n-cls-10.pt"), self.folder / "cls.pt")
        theirs = self.ultralytics.YOLO(checkpoint).predict(str(self.picture), verbose=False)[0].probs
        for file in self.files(checkpoint):
            with self.subTest(file.name):
                by_them = self.ultralytics.YOLO(file, task="classify").predict(str(self.picture), verbose=False)[0]
                np.testing.assert_allclose(by_them.probs.data, theirs.data, atol=1e-4)
                ours = self.predict(file)["classes"]
                self.assertEqual([c["class_id"] for c in ours], theirs.top5)
                np.testing.assert_allclose([c["confidence"] for c in ours], theirs.top5conf, atol=1e-4)

    def test_half(self):
        """Weights in float16 move boxes by less than a pixel and confidences by less than 0.005."""
        checkpoint = shutil.copy(slipway.data("models/yolo11n.pt"), self.folder / "half.pt")
        theirs = self.ultralytics.YOLO(checkpoint).predict(str(self.picture), rect=False, verbose=False)[0].boxes
        for file in self.files(checkpoint, "--half"):
            with self.subTest(file.name):
                boxes = self.ultralytics.YOLO(file, task="detect").predict(str(self.picture), verbose=False)[0].boxes
                np.testing.assert_array_equal(boxes.cls, theirs.cls)
                np.testing.assert_allclose(boxes.conf, theirs.conf, atol=5e-3)
                np.testing.assert_allclose(boxes.xyxy, theirs.xyxy, atol=1)


class OtherFamilies(unittest.TestCase):
    def found(self, model, picture, *options):
        paths = slipway.data("models", model), slipway.data("images", picture)
        process = slipway.run("predict", *paths, "--json", "-", *options)
        return json.loads(process.stdout)[0]["detections"]

    def test_distributions(self):
        """NanoDet and PicoDet find the dog, the bicycle and the car where YOLO11n finds them."""
        wanted = {16: (132, 221, 310, 540), 1: (129, 136, 567, 420), 2: (470, 75, 692, 173)}
        for model in ("nanodet_m.onnx", "picodet_s_416.onnx"):
            for class_id, box in wanted.items():
                best = next(d for d in self.found(model, "dog.jpg") if d["class_id"] == class_id)
                self.assertLess(np.abs(np.array(best["box"]) - box).max(), 35, f"{model} {class_id}")

    def test_faces(self):
        """As OpenCV's FaceDetectorYN, on the picture above a canvas of the model's size."""
        import cv2

        path = slipway.data("models/yunet_n_640_640.onnx")
        canvas = np.zeros((640, 640, 3), np.uint8)
        image = cv2.imread(str(slipway.data("images/person.jpg")))
        canvas[: image.shape[0], : image.shape[1]] = image
        want = cv2.FaceDetectorYN.create(str(path), "", (640, 640), 0.2, 0.7, 100).detect(canvas)[1]
        got = self.found(path.name, "person.jpg", "--conf", 0.2)
        self.assertEqual(len(got), len(want))
        for ours, theirs in zip(got, want):
            box = [*theirs[:2], *(theirs[:2] + theirs[2:4])]
            self.assertLess(np.abs(np.array(ours["box"]) - box).max(), 0.1)
            self.assertLess(np.abs(np.array(ours["keypoints"]).reshape(-1) - theirs[4:14]).max(), 0.1)
            self.assertLess(abs(ours["confidence"] - theirs[14]), 1e-3)


if __name__ == "__main__":
    unittest.main()
