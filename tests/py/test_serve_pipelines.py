"""Pipelines of built-in steps: a picture in, boxes and the classes of crops out, as `slipway predict` finds them."""

import concurrent.futures
import json
import re
import unittest

import cv2
import numpy as np
from onnx import TensorProto as T
from onnx import helper, load, numpy_helper, save

import serving
import slipway
import zoo
from test_serve_pictures import Served, grey_detector, picture, small_yolo

STEPS = """platform: "ensemble"
input { name: "IMAGE" data_type: TYPE_STRING dims: 1 }
output [ { name: "BOXES" data_type: TYPE_FP32 dims: [-1, 4] }, { name: "SCORES" data_type: TYPE_FP32 dims: -1 },
  { name: "CLASSES" data_type: TYPE_INT32 dims: -1 }, { name: "LABELS" data_type: TYPE_STRING dims: -1 } %(outputs)s ]
%(parameters)s
ensemble_scheduling { step [
  { model_name: "slipway_decode" model_version: -1
    input_map { key: "IMAGE" value: "IMAGE" } output_map { key: "PICTURE" value: "picture" } },
  { model_name: "slipway_letterbox" model_version: -1 input_map { key: "PICTURE" value: "picture" }
    output_map { key: "TENSOR" value: "tensor" } output_map { key: "META" value: "meta" } },
  { model_name: "%(detector)s" model_version: -1
    input_map { key: "images" value: "tensor" } %(results)s },
  { model_name: "slipway_yolo" model_version: -1 %(raw)s
    input_map { key: "META" value: "meta" } output_map { key: "BOXES" value: "BOXES" }
    output_map { key: "SCORES" value: "SCORES" } output_map { key: "CLASSES" value: "CLASSES" }
    output_map { key: "LABELS" value: "LABELS" } }
  %(more)s ] }"""

CROPS = """, { model_name: "slipway_crop" model_version: -1 input_map { key: "PICTURE" value: "picture" }
    input_map { key: "BOXES" value: "BOXES" } output_map { key: "CROPS" value: "crops" } },
  { model_name: "%s" model_version: -1
    input_map { key: "images" value: "crops" } output_map { key: "%s" value: "KINDS" } }"""


def pipeline(root, name, detector, second="", kinds=2, output="scores", parameters=(), results=("output0",)):
    """`results`: outputs of the detector."""
    (root / name / "1").mkdir(parents=True)
    values = {
        "detector": detector,
        "results": " ".join('output_map { key: "%s" value: "%s" }' % (name, name) for name in results),
        "raw": " ".join(
            'input_map { key: "RAW%s" value: "%s" }' % (f"_{i}" if i else "", name) for i, name in enumerate(results)
        ),
        "outputs": ', { name: "KINDS" data_type: TYPE_FP32 dims: [-1, %d] }' % kinds if second else "",
        "more": CROPS % (second, output) if second else "",
        "parameters": " ".join('parameters { key: "%s" value { string_value: "%s" } }' % p for p in parameters),
    }
    (root / name / "config.pbtxt").write_text(STEPS % values)


def shade_classifier(path):
    """Scores of "dark" and "bright": 1 minus, and, how bright the picture is on average."""
    path.parent.mkdir(parents=True)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["bright"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["bright", "axis"], ["column"]),
        helper.make_node("Sub", ["one", "column"], ["dark"]),
        helper.make_node("Concat", ["dark", "column"], ["scores"], axis=1),
    ]
    constants = [numpy_helper.from_array(np.array([1], kind), name) for kind, name in ((np.int64, "axis"),)]
    constants.append(numpy_helper.from_array(np.float32(1), "one"))
    graph = helper.make_graph(
        nodes,
        "shade",
        [helper.make_tensor_value_info("images", T.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("scores", T.FLOAT, ["n", 2])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": "{0: 'dark', 1: 'bright'}", "task": "classify"})
    save(model, path)


def level_detector(path, classes=3):
    """NanoDet's outputs with random weights: of three levels scores, and distributions of four sides over eight places."""
    path.parent.mkdir(parents=True)
    random, weights, nodes, outputs = np.random.default_rng(3), [], [], []
    for level, stride in enumerate((8, 16, 32)):
        for kind, values in (("scores", classes), ("sides", 32)):
            name = f"{kind}{level}"
            kernel = random.standard_normal((values, 3, stride, stride)).astype(np.float32) / stride
            weights.append(numpy_helper.from_array(kernel, name + ".w"))
            weights.append(numpy_helper.from_array(np.array([0, values, -1]), name + ".shape"))
            nodes.append(helper.make_node("Conv", ["images", name + ".w"], [name + ".map"], strides=[stride] * 2))
            nodes.append(helper.make_node("Reshape", [name + ".map", name + ".shape"], [name + ".flat"]))
            last = name if kind == "sides" else name + ".rows"
            nodes.append(helper.make_node("Transpose", [name + ".flat"], [last], perm=[0, 2, 1]))
            if kind == "scores":
                nodes.append(helper.make_node("Sigmoid", [last], [name]))
            outputs.append(helper.make_tensor_value_info(name, T.FLOAT, [1, (64 // stride) ** 2, values]))
    image = helper.make_tensor_value_info("images", T.FLOAT, [1, 3, 64, 64])
    model = helper.make_model(
        helper.make_graph(nodes, "levels", [image], outputs, weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    save(model, path)
    return [output.name for output in outputs]


class Clients(Served):
    """The same request by both protocols of tritonclient."""

    def ask(self, model, inputs, protocol="http"):
        import tritonclient.grpc
        import tritonclient.http

        module, url = {
            "http": (tritonclient.http, self.server.url),
            "grpc": (tritonclient.grpc, self.server.grpc_url),
        }[protocol]
        with module.InferenceServerClient(url) as client:
            tensors = []
            for name, (array, kind) in inputs.items():
                tensor = module.InferInput(name, list(array.shape), kind)
                tensor.set_data_from_numpy(array)
                tensors.append(tensor)
            answer = client.infer(model, tensors)
            names = [o.name for o in answer.get_response().outputs] if protocol == "grpc" else [
                o["name"] for o in answer.get_response()["outputs"]
            ]
            return {name: answer.as_numpy(name) for name in names}

    def ask_picture(self, model, data, protocol="http"):
        return self.ask(model, {"IMAGE": (np.array([data], np.object_), "BYTES")}, protocol)


class Pipelines(Clients):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        grey_detector(cls.root / "grey/1/model.onnx")
        shade_classifier(cls.root / "shade/1/model.onnx")
        pipeline(cls.root, "boxes", "grey", parameters=[("slipway_yolo.conf", "0.5")])
        pipeline(cls.root, "crops", "grey", "shade")
        grey_detector(cls.root / "patient/1/model.onnx")
        (cls.root / "patient/config.pbtxt").write_text(
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 5000000 }"
        )
        pipeline(cls.root, "together", "patient")
        (cls.root / "own_crop/1").mkdir(parents=True)
        (cls.root / "own_crop/config.pbtxt").write_text(
            """backend: "slipway_crop" parameters { key: "size" value { string_value: "4x6" } }
            parameters { key: "max_crops" value { string_value: "2" } }
            parameters { key: "type" value { string_value: "UINT8" } }
            parameters { key: "layout" value { string_value: "NHWC" } }
            parameters { key: "fit" value { string_value: "stretch" } }"""
        )
        (cls.root / "canvas/1").mkdir(parents=True)
        (cls.root / "canvas/config.pbtxt").write_text(
            'backend: "slipway_letterbox" parameters { key: "size" value { string_value: "64" } }'
        )
        cls.serve()

    def test_boxes_of_both_protocols(self):
        data = picture(204, 32, 128)
        for protocol in ("http", "grpc"):
            got = self.ask_picture("boxes", data, protocol)
            np.testing.assert_allclose(got["BOXES"], [[44, 6, 84, 26]], atol=1e-4)
            self.assertEqual((got["CLASSES"].tolist(), got["LABELS"].tolist()), ([0], [b"thing"]))
            expected = json.loads(self.server.get("/v2/models/grey/detect", data)[2])["detections"]
            np.testing.assert_array_equal(got["BOXES"][0], np.float32(expected[0]["box"]))
            np.testing.assert_array_equal(got["SCORES"], np.float32([expected[0]["confidence"]]))

    def test_slipway_client(self):
        (self.root / "picture.png").write_bytes(picture(204, 32, 128))
        words = ["client", "boxes", "--once", "--input", self.root / "picture.png", "--http-port", self.server.http]
        text = slipway.run(*words).stdout
        self.assertRegex(text, r"LABELS: thing\n(.*\n)+BOXES +float32 +1 x 4 +6 +40 +84\n(.*\n)*LABELS +text +1 +- +- +-\n")

    def test_no_boxes(self):
        for protocol in ("http", "grpc"):
            got = self.ask_picture("crops", picture(0), protocol)
            self.assertEqual(got["BOXES"].shape, (0, 4))
            self.assertEqual(got["KINDS"].shape, (0, 2))
            self.assertEqual(self.ask_picture("boxes", picture(100), protocol)["SCORES"].shape, (0,))  # below conf

    def test_classes_of_crops(self):
        image = np.full((64, 64, 3), 255, np.uint8)
        image[27:37, 22:42] = 51
        got = self.ask_picture("crops", cv2.imencode(".png", image)[1].tobytes())
        np.testing.assert_allclose(got["KINDS"], [[0.8, 0.2]], atol=1e-5)

    def test_steps_as_models(self):
        image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
        boxes = np.float32([[0, 0, 6, 4], [np.nan, -5, np.inf, 1e9], [1, 1, 2, 2]])
        got = self.ask("own_crop", {"PICTURE": (image, "UINT8"), "BOXES": (boxes, "FP32")})["CROPS"]
        self.assertEqual(got.shape, (2, 4, 6, 3))
        np.testing.assert_array_equal(got[0], image[:4, :6])
        got = self.ask("canvas", {"PICTURE": (np.full((16, 32, 3), 255, np.uint8), "UINT8")})
        self.assertEqual(got["META"].tolist(), [16, 32, 64, 64, 2, 2, 16, 0])
        self.assertEqual(got["TENSOR"].shape, (1, 3, 64, 64))
        self.assertEqual(got["TENSOR"][0, 0, 32].tolist(), [1] * 64)
        np.testing.assert_allclose(got["TENSOR"][0, :, 15], 114 / 255, atol=1e-6)

    def test_broken_pictures(self):
        import tritonclient.utils

        for data, part in ((b"", "is empty"), (b"hello", "is not a picture"), (picture(9)[:50], "IMAGE|PNG")):
            with self.assertRaisesRegex(tritonclient.utils.InferenceServerException, part):
                self.ask_picture("boxes", data)

    def copied(self):
        text = self.server.get("/metrics", port=self.server.metrics)[2].decode()
        return int(re.search(r"^slipway_ensemble_copied_bytes_total (\d+)$", text, re.MULTILINE)[1])

    def test_steps_are_counted(self):
        self.ask_picture("boxes", picture(255))
        rows = json.loads(self.server.get("/v2/models/stats")[2])["model_stats"]
        counts = {row["name"]: row["inference_count"] for row in rows}
        for step in ("decode", "letterbox", "yolo"):
            self.assertEqual(counts[f"boxes.slipway_{step}"], counts["boxes"])
        self.assertEqual(len(json.loads(self.server.get("/v2/models/boxes/stats")[2])["model_stats"]), 1)

    def test_no_copies(self):
        before = self.copied()
        for protocol in ("http", "grpc"):
            self.ask_picture("boxes", picture(255), protocol)
        self.assertEqual(self.copied(), before)  # what the network gives is read where it lies, the rest is handed on
        self.ask_picture("crops", picture(255))
        self.assertEqual(self.copied() - before, 2 * 4)  # the scores of one crop

    def test_requests_share_batches(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda grey: self.ask_picture("together", picture(grey)), (255, 204, 153, 102)))
        np.testing.assert_allclose([g["SCORES"][0] for g in got], [1, 0.8, 0.6, 0.4], atol=1e-6)
        stats = self.stats("patient")
        self.assertEqual((stats["inference_count"], stats["execution_count"]), (4, 1))


class SeveralOutputs(Clients):
    """Networks whose boxes come of several outputs, or with masks."""

    def test_as_detect(self):
        image = np.random.default_rng(2).integers(0, 255, (48, 64, 3), np.uint8)
        data = cv2.imencode(".png", image)[1].tobytes()
        results = {"levels": level_detector(self.root / "levels/1/model.onnx"), "masks": ("output0", "output1")}
        (self.root / "masks/1").mkdir(parents=True)
        save(zoo.fill(load(zoo.ZOO / "yolo11n-seg_64.onnx")), self.root / "masks/1/model.onnx")
        results["small"] = ("output0",)  # whose boxes are computed on demand
        small_yolo(self.root / "small/1/model.onnx")
        conf = {"levels": 0.6, "masks": 0.01, "small": 0.6}
        for name, outputs in results.items():
            pipeline(self.root, f"of_{name}", name, parameters=[("slipway_yolo.conf", conf[name])], results=outputs)
        self.serve("--plan-cache", "none")
        for name in results:
            status, _, answer = self.server.get(f"/v2/models/{name}/detect?conf={conf[name]}", data)
            self.assertEqual(status, 200, answer)
            want = json.loads(answer)["detections"]
            self.assertGreater(len(want), 2, name)
            got = self.ask_picture(f"of_{name}", data)
            np.testing.assert_array_equal(got["BOXES"], np.float32([d["box"] for d in want]))
            np.testing.assert_array_equal(got["SCORES"], np.float32([d["confidence"] for d in want]))
            np.testing.assert_array_equal(got["CLASSES"], [d["class_id"] for d in want])


class Documented(Clients):
    def test_example(self):
        grey_detector(self.root / "yolo11n/1/model.onnx")
        shade_classifier(self.root / "kinds/1/model.onnx")
        (self.root / "look/1").mkdir(parents=True)
        text = (slipway.ROOT / "docs/pipelines.md").read_text()
        text = text[text.index('    platform: "ensemble"') : text.index("and a client:")]
        kinds = text.replace('key: "output0" value: "KINDS"', 'key: "scores" value: "KINDS"').replace("[-1, 10]", "[-1, 2]")
        (self.root / "look/config.pbtxt").write_text(kinds)
        self.serve()
        data = picture(255)
        self.assertEqual(self.ask_picture("look", data)["KINDS"].shape, (1, 2))
        raw = self.server.get("/v2/models/look/infer", data, {"Inference-Header-Content-Length": "0"})
        self.assertEqual(raw[0], 200, raw[2])


class Mistakes(Clients):
    def test_sentences(self):
        grey_detector(self.root / "grey/1/model.onnx")
        pipeline(self.root, "unknown", "grey", parameters=[("slipway_yolo.confidence", "0.5")])
        pipeline(self.root, "range", "grey", parameters=[("slipway_yolo.conf", "7")])
        for name, text in (("lonely", 'backend: "slipway_yolo"'), ("batch", 'backend: "slipway_decode" max_batch_size: 4')):
            (self.root / name / "1").mkdir(parents=True)
            (self.root / name / "config.pbtxt").write_text(text)
        self.serve("--exit-on-error", "false", "--strict-readiness", "false")
        rows = {r["name"]: r for r in json.loads(self.server.get("/v2/repository/index", b"")[2])}
        for name, part in (
            ("unknown", "'slipway_yolo.confidence' belongs to no built-in step"),
            ("range", 'conf is "7", expected 0 to 1'),
            ("lonely", "slipway_yolo needs the parameter model"),
            ("batch", "takes one picture a request"),
        ):
            self.assertEqual(rows[name]["state"], "UNAVAILABLE")
            self.assertIn(part, rows[name]["reason"])


class RealModels(Clients):
    """Detector and classifier of Ultralytics, beside `slipway predict`."""

    def test_as_predict(self):
        models = {name: slipway.data("models", name) for name in ("yolo11n.onnx", "yolo11n-cls-10.pt")}
        image = slipway.data("images", "bus.jpg")
        for name, source in (("yolo11n", "yolo11n.onnx"), ("cls", "yolo11n-cls-10.pt")):
            path = self.root / name / "1" / ("model" + models[source].suffix)
            path.parent.mkdir(parents=True)
            path.symlink_to(models[source])
        pipeline(self.root, "all", "yolo11n", "cls", kinds=10, output="output0")
        self.serve("--plan-cache", "none")
        alone = json.loads(slipway.run("detect", models["yolo11n.onnx"], image, "--json", "-").stdout)[0]["detections"]
        got = self.ask_picture("all", image.read_bytes())
        np.testing.assert_array_equal(got["BOXES"], np.float32([d["box"] for d in alone]))
        np.testing.assert_array_equal(got["SCORES"], np.float32([d["confidence"] for d in alone]))
        self.assertEqual([t.decode() for t in got["LABELS"]], [d["class"] for d in alone])
        picture = cv2.imread(str(image))
        for box, kinds in zip(got["BOXES"], got["KINDS"]):
            low, high = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
            crop = cv2.imencode(".png", picture[low[1] : high[1], low[0] : high[0]])[1].tobytes()
            best = json.loads(self.server.get("/v2/models/cls/detect", crop)[2])["classes"][0]
            self.assertEqual(best["class_id"], kinds.argmax())
            self.assertAlmostEqual(best["confidence"], kinds.max(), places=4)


if __name__ == "__main__":
    unittest.main()
