"""Real models and pictures of the data folder: raw outputs against ONNX Runtime, detections against Ultralytics."""

import json
import tempfile
import unittest

import numpy as np

import reference
import slipway
import zoo

# Input name, side, scale of the values, and the row groups of outputs that hold several things: (axis, cuts).
MODELS = {
    "yolo11n": ("images", 640, 1.0, {"output0": (1, (4,))}),  # boxes | class scores
    "yolox_nano": ("images", 416, 255.0, {"output": (2, (4, 5))}),  # boxes | objectness | class scores
    "nanodet_m": ("input.1", 416, 4.0, {}),  # an output a kind and stride
    "picodet_s_416": ("image", 416, 4.0, {}),
    "yunet_n_640_640": ("input", 640, 255.0, {}),
}


class RawOutputs(unittest.TestCase):
    def check_model(self, name, make_input):
        model = slipway.data("models", f"{name}.onnx")
        port, side, scale, cuts = MODELS[name]
        inputs = {port: make_input(port, side, scale)}
        with tempfile.TemporaryDirectory() as folder:
            got = slipway.run_model(model, inputs, folder)
        want = reference.run_onnx(model, inputs)
        self.assertEqual(set(got), {slipway.file_name(output) for output in want})
        for output, array in want.items():
            ours = got[slipway.file_name(output)]
            self.assertEqual(ours.shape, array.shape)
            self.assertLess(
                zoo.worst_error(ours, array, *cuts.get(output, (None, ()))), zoo.TOLERANCE, f"{name} {output}"
            )

    @staticmethod
    def noise(port, side, scale):
        return (zoo.uniform(port, (1, 3, side, side), 0, 1) * scale).astype(np.float32)

    @staticmethod
    def picture(port, side, scale):
        import cv2

        picture = cv2.imread(str(slipway.data("images/dog.jpg")))
        return reference.letterbox(picture, side, side)[0] * np.float32(scale)


for model_name in MODELS:
    for kind in ("noise", "picture"):
        setattr(
            RawOutputs,
            f"test_{model_name}_{kind}",
            lambda self, name=model_name, kind=kind: self.check_model(name, getattr(self, kind)),
        )


class Detections(unittest.TestCase):
    def detect(self, model, picture, *options):
        (result,) = json.loads(slipway.run("detect", model, picture, "--quiet", "--json", "-", *options).stdout)
        return result

    def check_picture(self, name, model="yolo11n.onnx"):
        golden = json.loads((zoo.GOLDEN / f"{model.removesuffix('.onnx').replace('.', '_')}_{name}.json").read_text())
        result = self.detect(slipway.data("models", model), slipway.data("images", f"{name}.jpg"))
        self.assertEqual((result["width"], result["height"]), (golden["width"], golden["height"]))
        self.assertEqual(reference.unmatched(result["detections"], golden["detections"]), [])
        for detection in result["detections"]:
            names = {d["class_id"]: d["class"] for d in golden["detections"]}
            self.assertEqual(detection["class"], names[detection["class_id"]])
        return [detection["class"] for detection in result["detections"]]

    def test_bus(self):
        found = self.check_picture("bus")
        self.assertEqual((found.count("person"), found.count("bus"), len(found)), (4, 1, 5))

    def test_dog(self):
        self.check_picture("dog")

    def test_person(self):
        self.check_picture("person")

    def test_checkpoint(self):
        """A .pt takes pictures of any shape: Ultralytics pads them no further than to the next multiple of the stride."""
        for model in ("yolo11n.pt", "yolov5n.pt"):
            for name in ("bus", "dog", "person"):
                with self.subTest(model=model, picture=name):
                    self.check_picture(name, model)

    def test_sample_model_on_the_picture_of_the_demonstration(self):
        import cv2

        path = slipway.ROOT / "build/demo/bus.jpg"
        if not path.exists():
            self.skipTest("the picture could not be fetched")
        result = self.detect(slipway.SAMPLE_MODEL, path, "--conf", "0.25")
        rows = reference.detect(slipway.SAMPLE_MODEL, cv2.imread(str(path)), conf=0.25)
        want = [{"class_id": int(r[0]), "confidence": r[1], "box": list(r[2:])} for r in rows]
        self.assertGreater(len(want), 0)
        self.assertEqual(reference.unmatched(result["detections"], want), [])

    def test_many_low_scores(self):
        """At a low threshold many boxes meet in the NMS; nearly all must agree with its plain description."""
        import cv2

        model, path = slipway.data("models/yolo11n.onnx"), slipway.data("images/dog.jpg")
        result = self.detect(model, path, "--conf", "0.01")
        rows = reference.detect(model, cv2.imread(str(path)), conf=0.01)
        want = [{"class_id": int(r[0]), "confidence": r[1], "box": list(r[2:])} for r in rows]
        self.assertGreater(len(want), 20)
        self.assertLessEqual(len(reference.unmatched(result["detections"], want)), max(1, len(want) // 50))
