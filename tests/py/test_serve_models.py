"""Repositories as users write them, served: ensembles, shares of traffic, metrics."""

import json
import pathlib
import signal
import tempfile
import time
import unittest

from onnx import TensorProto as T
from onnx import helper, save

import serving


def scale_model(path, factor):
    path.parent.mkdir(parents=True)
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["k"], value_float=float(factor)),
            helper.make_node("Mul", ["x", "k"], ["y"]),
        ],
        "scale",
        [helper.make_tensor_value_info("x", T.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", T.FLOAT, ["n", 2])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


STEP = '{{ model_name: "{}" model_version: -1 input_map {{ key: "x" value: "{}" }} output_map {{ key: "y" value: "{}" }} }}'


class Models(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        root = pathlib.Path(cls.temporary.name)
        scale_model(root / "double/1/model.onnx", 2)
        scale_model(root / "routed/1/model.onnx", 10)
        scale_model(root / "routed/2/model.onnx", 20)
        (root / "routed/config.pbtxt").write_text(
            'version_policy { all { } } parameters { key: "route_weights" value { string_value: "1=3 2=1" } }'
        )
        (root / "chain").mkdir()
        (root / "chain/config.pbtxt").write_text(
            """platform: "ensemble" max_batch_size: 4
            input { name: "x" data_type: TYPE_FP32 dims: 2 } output { name: "z" data_type: TYPE_FP32 dims: 2 }
            ensemble_scheduling { step [ %s, %s ] }"""
            % (STEP.format("double", "x", "between"), STEP.format("double", "between", "z"))
        )
        cls.root = root
        cls.server = serving.Server("--model-repository", root)
        cls.addClassCleanup(cls.server.stop)

    def infer(self, model, values, headers=None):
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": values}]}
        status, _, answer = self.server.get(f"/v2/models/{model}/infer", json.dumps(body).encode(), headers)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)

    def test_ensemble(self):
        answer = self.infer("chain", [1.5, -2])
        self.assertEqual(answer["outputs"], [{"name": "z", "datatype": "FP32", "shape": [1, 2], "data": [6.0, -8.0]}])
        stats = json.loads(self.server.get("/v2/models/double/stats")[2])["model_stats"][0]["inference_stats"]
        self.assertGreaterEqual(stats["success"]["count"], 2)

    def test_completed_config(self):
        config = json.loads(self.server.get("/v2/models/double/config")[2])
        self.assertEqual(config["max_batch_size"], 4)
        self.assertEqual(config["input"][0]["dims"], [2])
        self.assertEqual(config["dynamic_batching"]["max_queue_delay_microseconds"], 0)

    def test_shares_of_traffic(self):
        versions = [self.infer("routed", [1, 1])["model_version"] for _ in range(40)]
        self.assertAlmostEqual(versions.count("1"), 30, delta=2)
        for user in ("anna", "ben", "carla"):
            headers = {"slipway-sticky": user}
            self.assertEqual(len({self.infer("routed", [1, 1], headers)["model_version"] for _ in range(10)}), 1)

    def test_metrics(self):
        self.infer("double", [0, 0])
        text = self.server.get("/metrics", port=self.server.metrics)[2].decode()
        for name in ("nv_inference_request_success", "nv_inference_count", "nv_inference_exec_count"):
            self.assertRegex(text, name + r'\{model="double",version="1"\} [1-9]')
        self.assertIn('slipway_request_duration_seconds_bucket{model="double",version="1",le="+Inf"}', text)

    def test_page(self):
        status, headers, page = self.server.get("/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'self'", headers["Content-Security-Policy"])
        for path in ("/v2/repository/index", "/page/metrics", "/detect"):  # what the page asks for
            self.assertIn(path, page.decode())
        self.assertIn(b"nv_inference_count", self.server.get("/page/metrics")[2])
        self.assertEqual(self.server.get("/page")[0], 404)

    def test_reload_on_sighup(self):
        scale_model(self.root / "late/1/model.onnx", 7)
        self.assertEqual(self.server.get("/v2/models/late/ready")[0], 400)
        self.server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + serving.STARTS_IN_S
        while self.server.get("/v2/models/late/ready")[0] != 200:
            self.assertLess(time.monotonic(), deadline, "the model is not loaded")
            time.sleep(0.01)
        self.assertEqual(self.infer("late", [1, 2])["outputs"][0]["data"], [7, 14])


if __name__ == "__main__":
    unittest.main()
