"""Pictures over the network as requests of the core's: batches, statistics, limits, shares of traffic."""

import concurrent.futures
import http.client
import json
import pathlib
import socket
import struct
import tempfile
import time
import unittest

import cv2
import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper, save

import serving
import slipway

SIDE, ANCHORS = 64, 84


def picture(grey, height=SIDE, width=SIDE):
    return cv2.imencode(".png", np.full((height, width, 3), grey, np.uint8))[1].tobytes()


def grey_detector(path, batch="n", names="{0: 'thing'}"):
    """A YOLOv8 of one anchor: the box of 20 x 10 in the middle, its score how bright the picture is."""
    path.parent.mkdir(parents=True)
    table, score = np.zeros((1, 5, ANCHORS), np.float32), np.zeros((1, 5, ANCHORS), np.float32)
    table[0, :4, 0] = 32, 32, 20, 10
    score[0, 4, 0] = 1
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["m"], axes=[2, 3]),
        helper.make_node("ReduceMean", ["m"], ["grey"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["grey", "score"], ["scores"]),
        helper.make_node("Add", ["scores", "table"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "grey",
        [helper.make_tensor_value_info("images", T.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", T.FLOAT, [batch, 5, ANCHORS])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(score, "score")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": names, "stride": "32", "task": "detect"})
    save(model, path)


class Served(unittest.TestCase):
    @classmethod
    def serve(cls, *arguments):
        cls.server = serving.Server("--model-repository", cls.root, *arguments)
        cls.addClassCleanup(cls.server.stop)

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.root = pathlib.Path(temporary.name)

    def detect(self, model, *greys, query="", headers=None):
        """Status and JSON of a request with pictures of these brightnesses."""
        headers = dict(headers or {})
        body = picture(greys[0])
        if len(greys) > 1:
            headers["Content-Type"] = "multipart/form-data; boundary=XX"
            parts = (
                b'--XX\r\nContent-Disposition: form-data; name="f"; filename="%d"\r\n\r\n%s\r\n' % (g, picture(g))
                for g in greys
            )
            body = b"".join(parts) + b"--XX--\r\n"
        status, _, answer = self.server.get(f"/v2/models/{model}/detect?{query}", body, headers)
        return status, json.loads(answer)

    def stats(self, model, version="1"):
        return json.loads(self.server.get(f"/v2/models/{model}/versions/{version}/stats")[2])["model_stats"][0]


class ThroughTheCore(Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        grey_detector(cls.root / "batched/1/model.onnx")
        (cls.root / "batched/config.pbtxt").write_text(
            "max_batch_size: 8 dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 2000000 }"
        )
        grey_detector(cls.root / "slow/1/model.onnx")
        (cls.root / "slow/config.pbtxt").write_text(
            """max_batch_size: 8 dynamic_batching { preferred_batch_size: 8 max_queue_delay_microseconds: 400000
            priority_levels: 2 default_priority_level: 2 default_queue_policy { max_queue_size: 3 } }"""
        )
        grey_detector(cls.root / "one/1/model.onnx", batch=1)
        (cls.root / "one/config.pbtxt").write_text(
            """input { name: "images" data_type: TYPE_FP32 dims: [3, 64, 64] reshape { shape: [1, 3, 64, 64] } }
            output { name: "output0" data_type: TYPE_FP32 dims: [5, 84] reshape { shape: [1, 5, 84] } }"""
        )
        for version in (1, 2):
            grey_detector(cls.root / f"routed/{version}/model.onnx", names="{0: 'version %d'}" % version)
        (cls.root / "routed/config.pbtxt").write_text(
            'version_policy { all { } } parameters { key: "route_weights" value { string_value: "1=3 2=1" } }'
        )
        (cls.root / "identity/1").mkdir(parents=True)
        serving.identity_model(cls.root / "identity/1/model.onnx")
        (cls.root / "echo").mkdir()
        (cls.root / "echo/1").mkdir()
        (cls.root / "echo/config.pbtxt").write_text(
            """backend: "identity" input { name: "x" data_type: TYPE_FP32 dims: 1 }
            output { name: "y" data_type: TYPE_FP32 dims: 1 }"""
        )
        cls.serve()

    def confidences(self, answer):
        return [row["detections"][0]["confidence"] for row in answer]

    def test_pictures_of_a_request_share_a_batch(self):
        before = self.stats("batched")
        status, answer = self.detect("batched", 255, 204, 153, 102)
        self.assertEqual(status, 200)
        np.testing.assert_allclose(self.confidences(answer), [1, 0.8, 0.6, 0.4], atol=1e-6)
        self.assertEqual([row["source"] for row in answer], ["255", "204", "153", "102"])
        after = self.stats("batched")
        self.assertEqual(after["inference_count"] - before["inference_count"], 4)
        self.assertEqual(after["execution_count"] - before["execution_count"], 1)

    def test_pictures_of_clients_share_a_batch(self):
        before = self.stats("batched")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda grey: self.detect("batched", grey), (255, 204, 153, 102)))
        np.testing.assert_allclose(self.confidences([a for _, a in answers]), [1, 0.8, 0.6, 0.4], atol=1e-6)
        after = self.stats("batched")
        self.assertEqual(after["execution_count"] - before["execution_count"], 1)
        text = self.server.get("/metrics", port=self.server.metrics)[2].decode()
        self.assertRegex(text, r'nv_inference_count\{model="batched",version="1"\} [1-9]')

    def test_full_queue_and_late(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: self.detect("slow", 255), range(8)))
        self.assertEqual({status for status, _ in answers}, {200, 503})
        self.assertIn("Exceeds maximum queue size", next(a for s, a in answers if s == 503)["error"])
        status, answer = self.detect("slow", 255, query="timeout=20000")
        self.assertEqual(status, 503)
        self.assertRegex(answer["error"], "Deadline exceeded|timeout expired")
        self.assertEqual(self.detect("slow", 255, query="priority=1")[0], 200)
        status, answer = self.detect("slow", 255, query="timeout=soon")
        self.assertEqual(status, 400)
        self.assertIn("'timeout' is 'soon'", answer["error"])

    def test_queries(self):
        for query, sentence in (
            ("max_det=0", "'max_det' is '0', expected a whole number from 1 to 100000"),
            ("imgsz=64.5", "'imgsz' is '64.5', expected a whole number from 1 to 8192"),
            ("conf=2", "'conf' is '2', expected a number from 0 to 1"),
            ("annotate=maybe", "'annotate' is 'maybe', expected 0 or 1"),
            ("annotate=1&format=gif", "'format' is 'gif', expected jpeg or png"),
        ):
            status, answer = self.detect("slow", 255, query=query)
            self.assertEqual((status, answer["error"]), (400, f"query parameter {sentence}"))
        self.assertEqual(self.detect("one", 255, query="annotate=false&max_det=1&format=jpg")[0], 200)
        for query, start in (("annotate", b"\xff\xd8"), ("annotate=1&format=png", b"\x89PNG")):
            picture_back = self.server.get(f"/v2/models/one/detect?{query}", picture(255))[2]
            self.assertEqual(picture_back[: len(start)], start)

    def test_a_part_without_a_file_is_named(self):
        body = b'--XX\r\nContent-Disposition: form-data; name="conf"\r\n\r\n0.5\r\n--XX--\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=XX"}
        status, _, answer = self.server.get("/v2/models/one/detect", body, headers)
        self.assertEqual(status, 400)
        self.assertRegex(json.loads(answer)["error"], "^conf: is not a picture")

    def test_reshaped_ports(self):
        status, answer = self.detect("one", 51 * 4)
        self.assertEqual(status, 200, answer)
        self.assertAlmostEqual(answer["detections"][0]["confidence"], 0.8, places=5)
        self.assertEqual(answer["detections"][0]["box"], [22, 27, 42, 37])

    def test_shares_of_traffic(self):
        found = [self.detect("routed", 255)[1]["detections"][0]["class"] for _ in range(40)]
        self.assertAlmostEqual(found.count("version 1"), 30, delta=2)
        for query, headers in (("sticky=anna", {}), ("", {"slipway-sticky": "anna"})):
            found = {self.detect("routed", 255, query=query, headers=headers)[1]["detections"][0]["class"]
                     for _ in range(8)}
            self.assertEqual(len(found), 1)

    def test_no_detector(self):
        for model in ("identity", "echo"):
            status, answer = self.detect(model, 255)
            self.assertEqual(status, 400)
            self.assertRegex(answer["error"], "does not take pictures|is no picture")

    def test_client_that_leaves(self):
        before = self.stats("slow")["inference_count"]
        connection = http.client.HTTPConnection(self.server.url, timeout=30)
        connection.request("POST", "/v2/models/slow/detect", picture(255))
        time.sleep(0.1)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        time.sleep(0.5)
        self.assertEqual(self.stats("slow")["inference_count"], before)


def small_yolo(path, classes=3):
    """A YOLOv8 with random weights: three levels, boxes by two convolutions each, scores by one."""
    path.parent.mkdir(parents=True)
    random, weights, nodes = np.random.default_rng(5), [], []

    def conv(x, channels, out, size, stride=1, bias=0.0, gain=1.0):
        name = f"c{len(nodes)}"
        scale = gain * (channels * size * size) ** -0.5
        values = (random.standard_normal((out, channels, size, size)) * scale, np.full(out, bias))
        weights.extend(numpy_helper.from_array(v.astype(np.float32), name + k) for v, k in zip(values, "wb"))
        pads = [size // 2] * 4 if stride == 1 else [0] * 4
        nodes.append(
            helper.make_node("Conv", [x, name + "w", name + "b"], [name], strides=[stride] * 2, pads=pads)
        )
        return name

    def node(op, inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [f"v{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    x, boxes, scores = "images", [], []
    weights.append(numpy_helper.from_array(np.array([0, 4, -1]), "box"))
    weights.append(numpy_helper.from_array(np.array([0, classes, -1]), "score"))
    for level in range(3):
        x = node("Relu", [conv(x, 8 if level else 3, 8, 2 if level else 8, 2 if level else 8, gain=4)])
        box = conv(node("Relu", [conv(x, 8, 8, 3)]), 8, 4, 1, bias=30, gain=20)
        boxes.append(node("Reshape", [box, "box"]))
        scores.append(node("Reshape", [conv(x, 8, classes, 3, bias=-1, gain=2), "score"]))
    score = node("Sigmoid", [node("Concat", scores, axis=2)])
    nodes.append(helper.make_node("Concat", [node("Concat", boxes, axis=2), score], ["output0"], axis=1))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", T.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", T.FLOAT, ["n", 4 + classes, ANCHORS])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": str({i: f"c{i}" for i in range(classes)}), "task": "detect"})
    save(model, path)


class BoxesOnDemand(Served):
    """Boxes are computed only where a score passes: for pictures, not for tensors."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = cls.root / "small/1/model.onnx"
        small_yolo(cls.model)
        (cls.root / "small/config.pbtxt").write_text(
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 100000 }"
        )
        cls.pictures = []
        for i in range(4):
            noise = np.random.default_rng(i).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
            cls.pictures.append(cls.root / f"{i}.png")
            cv2.imwrite(str(cls.pictures[-1]), noise)
        cls.serve()

    def raw(self):
        """Of a tensor of the first picture."""
        x = cv2.imread(str(self.pictures[0]))[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
        head = {"inputs": [{"name": "images", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}]}
        return json.loads(self.server.get("/v2/models/small/infer", json.dumps(head).encode())[2])["outputs"][0]["data"]

    def expected(self, conf):
        found = slipway.run("detect", self.model, *self.pictures, "--conf", conf, "--json", "-").stdout
        return [row["detections"] for row in json.loads(found)]

    def ask(self, picture, conf):
        answer = self.server.get(f"/v2/models/small/detect?conf={conf}", picture.read_bytes())
        return json.loads(answer[2])["detections"]

    def test_as_detect(self):
        raw, want = self.raw(), {conf: self.expected(conf) for conf in (0.2, 0.5, 0.8)}
        table = np.array(raw).reshape(7, ANCHORS)
        self.assertEqual([len(want[conf][0]) > 0 for conf in want], [True] * 3)
        self.assertTrue((table[4:].max(0) < 0.5).any())
        for conf, found in want.items():
            for picture, one in zip(self.pictures, found):
                self.assertEqual(self.ask(picture, conf), one)
            self.assertEqual(self.raw(), raw)

    def test_in_batches(self):
        """Of pictures with different thresholds, too."""
        confs = (0.2, 0.5, 0.8, 0.5)
        want = [self.expected(conf)[i] for i, conf in enumerate(confs)]
        before = self.stats("small")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.assertEqual(list(pool.map(self.ask, self.pictures, confs)), want)
        after = self.stats("small")
        self.assertLess(after["execution_count"] - before["execution_count"], 4)


class ParkedModels(Served):
    def test_model_that_left_memory(self):
        for name in ("a", "b"):
            grey_detector(self.root / name / "1/model.onnx")
        self.serve("--memory-budget", "0.001")
        for _ in range(3):
            for name in ("a", "b"):
                status, answer = self.detect(name, 255)
                self.assertEqual(status, 200, answer)


if __name__ == "__main__":
    unittest.main()
