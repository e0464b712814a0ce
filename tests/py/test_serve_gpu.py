"""Serving on GPUs: instance groups choose the device, on a driver that runs kernels in an emulator, or (SLIPWAY_TEST_GPU) on
those that are there."""

import json
import pathlib
import tempfile
import threading
import unittest

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper
from serving import Server
from test_cuda import LIBRARY, ON_GPU

import slipway


@unittest.skipUnless(LIBRARY.exists() or ON_GPU, "the emulator is not built")
class Devices(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        emulated = {} if ON_GPU else {"SLIPWAY_CUDA_DRIVER": str(LIBRARY), "SLIPWAY_NVRTC": str(LIBRARY)}
        self.env = {
            **slipway.ENVIRONMENT,
            **emulated,
            "SLIPWAY_CUDNN": "/nonexistent",
            "SLIPWAY_CUBLASLT": "/nonexistent",
            "SLIPWAY_CACHE": str(self.folder / "cache"),
        }
        self.last = len(json.loads(slipway.run("devices", "--json", env=self.env).stdout)["gpus"]) - 1
        self.x = np.random.default_rng(4).uniform(-1, 1, (1, 8, 6, 5)).astype(np.float32)

    def repository(self, **groups):
        """A model for each name: the same convolution."""
        weights = np.random.default_rng(5).uniform(-0.2, 0.2, (16, 8, 3, 3)).astype(np.float32)
        port = lambda name, channels: helper.make_tensor_value_info(name, T.FLOAT, ["n", channels, 6, 5])  # noqa: E731
        node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
        graph = helper.make_graph([node], "g", [port("x", 8)], [port("y", 16)], [onnx.numpy_helper.from_array(weights, "w")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        for name, config in groups.items():
            path = self.folder / "models" / name / "1"
            path.mkdir(parents=True)
            onnx.save(model, path / "model.onnx")
            (path.parent / "config.pbtxt").write_text(config)
        return self.folder / "models"

    def serve(self, *options, **groups):
        repository = self.repository(**groups)
        words = ("--exit-on-error", "false", "--strict-readiness", "false", "--plan-cache", "none")
        server = Server("--model-repository", repository, *words, *options, env=self.env)
        self.addCleanup(server.stop)
        return server

    def infer(self, server, name, batch=1):
        x = np.repeat(self.x, batch, 0)
        tensor = {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
        code, _, body = server.get(f"/v2/models/{name}/infer", json.dumps({"inputs": [tensor]}).encode())
        self.assertEqual(code, 200, body)
        (output,) = json.loads(body)["outputs"]
        return np.array(output["data"], np.float32).reshape(output["shape"])

    def test_groups_choose_the_device(self):
        server = self.serve(
            cpu="instance_group { kind: KIND_CPU }",
            first="instance_group { count: 2 kind: KIND_GPU }",
            both=f"instance_group {{ kind: KIND_GPU gpus: {sorted({0, self.last})} }}",
            mixed=f"instance_group [ {{ kind: KIND_CPU }}, {{ kind: KIND_GPU gpus: {self.last} }} ]",
        )
        want = self.infer(server, "cpu", 3)
        for name in ("first", "both"):
            got = self.infer(server, name, 3)
            self.assertTrue(0 < np.abs(got - want).max() < 5e-3, f"{name}: float16 should show")
        self.assertLess(np.abs(self.infer(server, "mixed", 3) - want).max(), 5e-3)
        found = json.loads(server.get("/v2/models/both/config")[2])["instance_group"]
        self.assertEqual((found[0]["kind"], found[0]["gpus"]), ("KIND_GPU", sorted({0, self.last})))

    def test_instances_run_side_by_side(self):
        server = self.serve(gpu=f"instance_group {{ count: 3 kind: KIND_GPU gpus: {self.last} }}")
        want, wrong = self.infer(server, "gpu"), []

        def ask(n):
            for batch in range(1, 5):
                got = self.infer(server, "gpu", (n + batch) % 4 + 1)
                wrong.extend(row for row in got if np.abs(row - want[0]).max() > 1e-6)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(server.get("/v2/health/live")[0], 200)

    def test_gpus_that_are_not_there(self):
        server = self.serve(far="instance_group { kind: KIND_GPU gpus: 99 }", good="instance_group { kind: KIND_GPU }")
        rows = {row["name"]: row for row in json.loads(server.get("/v2/repository/index", b"{}")[2])}
        self.assertRegex(rows["far"]["reason"], r"there is no GPU 99: this machine has \d+.*with KIND_CPU it runs without")
        self.assertEqual(self.infer(server, "good").shape, (1, 16, 6, 5))

    @unittest.skipIf(ON_GPU, "a GPU has memory")
    def test_memory_that_another_process_has_taken(self):
        self.env["EMU_CUDA"] = "nomemory"
        server = self.serve(gpu="instance_group { kind: KIND_GPU }")
        x = {"name": "x", "datatype": "FP32", "shape": [1, 8, 6, 5], "data": self.x.ravel().tolist()}
        code, _, body = server.get("/v2/models/gpu/infer", json.dumps({"inputs": [x]}).encode())
        self.assertIn(code, (500, 503))
        self.assertIn(b"is out of memory", body)
        self.assertEqual(server.get("/v2/health/live")[0], 200)
