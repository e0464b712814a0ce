"""The soak of soak.py in small, and what a server that is killed leaves behind."""

import json
import pathlib
import random
import signal
import tempfile
import threading
import time
import unittest

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper

import serving
import soak

SMALL_KIB = 2048  # what short runs may grow by
MODEL_MB = 16


def heavy_model(path):
    """x (n x 16) times weights of MODEL_MB."""
    columns = MODEL_MB * (1 << 20) // 4 // 16
    weights = np.random.default_rng(1).standard_normal((16, columns)).astype(np.float32)
    x, y = (helper.make_tensor_value_info(name, T.FLOAT, ("n", size)) for name, size in (("x", 16), ("y", 1)))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("ReduceSum", ["p", "axes"], ["y"])]
    constants = [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.array([1]), "axes")]
    graph = helper.make_graph(nodes, "heavy", [x], [y], constants)
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def control(server, what, name, body=b""):
    return server.get(f"/v2/repository/models/{name}/{what}", body, method="POST")[0]


class Soak(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_mixed_traffic(self):
        (self.folder / "certificates").mkdir()
        server = soak.start(soak.make_repository(self.folder / "models"), self.folder / "certificates")
        self.addCleanup(server.stop)
        failures, counts, samples = soak.mixed(server, 3.5)
        self.assertEqual(failures, [])
        self.assertEqual(set(counts), set(soak.KINDS))
        self.assertLess(soak.grown(samples), SMALL_KIB)
        self.assertLess(soak.idle(server, 300), 4)  # KiB each
        self.assertLess(soak.grown(soak.reloads(server, 40)), SMALL_KIB)
        code, log = server.stop()
        self.assertEqual(code, 0, log)

    def infer(self, server, name):
        inputs = [{"name": "x", "shape": [1, 16], "datatype": "FP32", "data": [1] * 16}]
        return server.get(f"/v2/models/{name}/infer", json.dumps({"inputs": inputs}).encode())[0]

    def test_memory_returns_after_an_unload(self):
        for name in ("a", "b"):
            heavy_model(self.folder / name / "1" / "model.onnx")
        server = serving.Server("--model-repository", self.folder, "--model-control-mode", "explicit")
        self.addCleanup(server.stop)
        empty = soak.resident_kib(server)
        for _ in range(3):
            self.assertEqual(control(server, "load", "a"), 200)
            self.assertEqual(self.infer(server, "a"), 200)
            self.assertGreater(soak.resident_kib(server) - empty, MODEL_MB * 1000)
            self.assertEqual(control(server, "unload", "a"), 200)
            self.wait_for_memory(server, empty + 6 * 1024)

    def wait_for_memory(self, server, most_kib):
        deadline = time.monotonic() + 20
        while soak.resident_kib(server) > most_kib:
            self.assertLess(time.monotonic(), deadline, f"{soak.resident_kib(server)} KiB, expected {most_kib} at most")
            time.sleep(0.02)

    def test_memory_budget(self):
        for name in ("a", "b", "c"):
            heavy_model(self.folder / name / "1" / "model.onnx")
        server = serving.Server("--model-repository", self.folder, "--memory-budget", MODEL_MB + 8)
        self.addCleanup(server.stop)
        for name in "abcacb":  # each in turn brings its model back, and makes another leave
            self.assertEqual(self.infer(server, name), 200)
        stats = json.loads(server.get("/v2/models/b/stats")[2])["model_stats"][0]
        counted = stats["memory_usage"][0]["byte_size"] / 2**20  # the file, the weights, and as they are packed
        self.assertTrue(2 * MODEL_MB < counted < 3 * MODEL_MB + 4, counted)
        # One takes its file as it is mapped, its weights as they were read and as they are packed; three would take 9.
        self.wait_for_memory(server, (4 * MODEL_MB + 8) * 1024)
        code, log = server.stop()
        self.assertEqual(code, 0, log)
        self.assertIn("leaves memory until it is asked for", log)

    def contents(self):
        return {path: path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def test_killed_while_models_come_and_go(self):
        soak.make_repository(self.folder)
        before, rng = self.contents(), random.Random(1)
        for _ in range(4):
            server = soak.start(self.folder)
            threads = [threading.Thread(target=self.churn, args=(server, name)) for name in ("guest", "late")]
            for thread in threads:
                thread.start()
            time.sleep(rng.random() * 0.3)
            server.process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
            server.process.wait(30)
            server.stop()
        self.assertEqual(self.contents(), before)
        server = soak.start(self.folder)
        self.addCleanup(server.stop)
        self.assertEqual(server.get("/v2/health/ready")[0], 200)
        for name in ("quick", "late", "guest"):
            self.assertEqual(server.get(f"/v2/models/{name}/ready")[0], 200)

    @staticmethod
    def churn(server, name):
        try:
            while True:
                control(server, "unload", name)
                control(server, "load", name)
        except OSError:
            return  # it is dead


if __name__ == "__main__":
    unittest.main()
