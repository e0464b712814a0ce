"""Tuned plans made in the background by `slipway serve`, and kept."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper
from serving import Server

import slipway

WAIT_S = 60


def conv_model(path, external=None, scale=1.0):
    """A convolution, whose kernels there is something to choose among."""
    rng = np.random.default_rng(1)
    weights = onnx.numpy_helper.from_array((scale * rng.standard_normal((16, 8, 3, 3))).astype(np.float32), "w")
    ports = [
        [helper.make_tensor_value_info(name, T.FLOAT, (1, channels, 16, 16))] for name, channels in (("x", 8), ("y", 16))
    ]
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    graph = helper.make_graph(nodes, "conv", *ports, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if external:
        onnx.save(model, path, save_as_external_data=True, location=external, size_threshold=0)
    else:
        onnx.save(model, path)
    return pathlib.Path(path)


class PlanCache(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.cache = self.folder / "plans"
        self.input = np.random.default_rng(2).standard_normal((1, 8, 16, 16)).astype(np.float32)

    def serve(self, model, *more):
        server = Server(model, "--plan-cache", self.cache, "--tune-seconds", "0.5", *more)
        self.addCleanup(server.stop)
        return server

    def wait_for(self, server, text):
        deadline = time.monotonic() + WAIT_S
        while not any(text in line for line in server.log):
            self.assertLess(time.monotonic(), deadline, f"no '{text}' in {server.log}")
            time.sleep(0.02)

    def plans(self):
        return sorted(path for path in self.cache.iterdir() if not path.name.startswith("."))

    def kind(self, server):
        text = server.get("/metrics", port=server.metrics)[2].decode()
        return [line.split('kind="')[1].split('"')[0] for line in text.splitlines() if line.startswith("slipway_plan{")]

    def infer(self, server, name):
        head = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
        status, headers, body = server.get(f"/v2/models/{name}/infer", self.input.tobytes(), head)
        self.assertEqual(status, 200, body[:300])
        size = int(headers["Inference-Header-Content-Length"])
        return np.frombuffer(body[size:], np.float32)

    def tuned(self, model):
        """A server of a model that has made its plan, stopped."""
        server = self.serve(model)
        self.wait_for(server, "runs on its tuned plan")
        self.assertEqual(server.stop()[0], 0)
        return self.plans()

    def test_made_after_the_program_was_replaced(self):
        models = self.folder / "models"
        (models / "conv/1").mkdir(parents=True)
        conv_model(models / "conv/1/model.onnx")
        program = pathlib.Path(shutil.copy(slipway.PROGRAM, self.folder / "slipway"))
        with unittest.mock.patch.object(slipway, "PROGRAM", program):
            explicit = ("--model-repository", models, "--model-control-mode", "explicit", "--tune-seconds", "0.1")
            server = Server("--plan-cache", self.cache, *explicit)
        self.addCleanup(server.stop)
        program.unlink()
        self.assertEqual(server.get("/v2/repository/models/conv/load", b"")[0], 200)
        self.wait_for(server, "runs on its tuned plan")

    def test_files_that_are_cut_while_they_are_served(self):
        """As by cp over them: what was loaded goes on."""
        model, plan = conv_model(self.folder / "conv.onnx"), self.folder / "given.slip"
        slipway.run("build", model, "-o", plan, "-q")
        server = Server(model, plan, "--plan-cache", "none")
        self.addCleanup(server.stop)
        for path in (model, plan):
            os.truncate(path, 0)
        np.testing.assert_allclose(self.infer(server, "conv"), self.infer(server, "given"), atol=1e-4)

    def test_made_while_requests_are_answered_and_used_at_the_next_start(self):
        model = conv_model(self.folder / "conv.onnx")
        server = self.serve(model)
        first, answers, stop = self.infer(server, "conv"), [], threading.Event()

        def ask():
            while not stop.is_set():
                answers.append(self.infer(server, "conv"))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        self.wait_for(server, "runs on its tuned plan")
        stop.set()
        for thread in threads:
            thread.join()
        answers.append(self.infer(server, "conv"))
        for answer in answers:
            np.testing.assert_allclose(answer, first, atol=1e-4)
        self.assertEqual(self.kind(server), ["tuned"])
        statistics = server.get("/v2/models/conv/stats")[2].decode()
        self.assertIn(f'"success":{{"count":{len(answers) + 1},', statistics)
        code, log = server.stop()
        self.assertEqual(code, 0, log)
        (plan,) = self.plans()
        self.assertRegex(plan.name, r"^conv-[0-9a-f]{16}-[0-9a-f]{16}\.slip$")

        again = self.serve(model)
        self.assertEqual(self.kind(again), ["tuned"])
        np.testing.assert_allclose(self.infer(again, "conv"), first, atol=1e-4)
        self.assertNotIn("background", again.stop()[1])
        self.assertEqual(self.plans(), [plan])

    def test_damaged_plans_are_told_of_and_made_again(self):
        model = conv_model(self.folder / "conv.onnx")
        (plan,) = self.tuned(model)
        whole = plan.read_bytes()
        middle = len(whole) - 100
        for broken in (b"", whole[:-1], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b"no plan"):
            plan.write_bytes(broken)
            server = self.serve(model)
            self.infer(server, "conv")
            self.wait_for(server, "runs on its tuned plan")
            code, log = server.stop()
            self.assertEqual(code, 0, log)
            self.assertIn(f"{plan}: this kept plan is not used: its content is damaged", log)
            (plan,) = self.plans()

    def test_other_content_is_another_plan(self):
        model = conv_model(self.folder / "conv.onnx")
        self.tuned(model)
        model.rename(self.folder / "moved.onnx")
        server = self.serve(self.folder / "moved.onnx", "--tune-seconds", "0")
        self.assertEqual(self.kind(server), ["default"])  # the name is part of it
        server.stop()
        self.assertEqual(len(self.tuned(conv_model(self.folder / "conv.onnx", scale=2.0))), 2)

    def test_other_files_of_a_model_count(self):
        model = conv_model(self.folder / "conv.onnx", "weights.bin")
        self.tuned(model)
        before = self.serve(model)
        self.assertEqual(self.kind(before), ["tuned"])
        first = self.infer(before, "conv")
        before.stop()
        conv_model(self.folder / "conv.onnx", "weights.bin", scale=2.0)
        after = self.serve(model)
        np.testing.assert_allclose(self.infer(after, "conv"), 2 * first, atol=1e-3)

    def test_off(self):
        model = conv_model(self.folder / "conv.onnx")
        for more in (("--plan-cache", "none"), ("--tune-seconds", "0")):
            server = self.serve(model, *more)
            self.assertEqual(self.kind(server), ["default"])
            time.sleep(0.3)
            self.assertNotIn("background", server.stop()[1])
        self.assertEqual(self.plans() if self.cache.exists() else [], [])

    def test_a_plan_stays_as_it_is(self):
        model = conv_model(self.folder / "conv.onnx")
        slipway.run("build", model, "-o", self.folder / "conv.slip", "-O", "0")
        server = self.serve(self.folder / "conv.slip")
        self.assertEqual(self.kind(server), ["given"])
        self.assertNotIn("background", server.stop()[1])

    def test_a_cache_that_cannot_be_is_an_error(self):
        model = conv_model(self.folder / "conv.onnx")
        said = slipway.run("serve", model, "--plan-cache", model, expect=3).stderr
        self.assertIn("name a folder that can be written, or 'none'", said)

    def test_a_child_whose_parent_is_gone_makes_nothing(self):
        model, made = conv_model(self.folder / "conv.onnx"), []
        self.cache.mkdir()
        for parent_reads in (False, True):
            reads, writes = os.pipe()
            if not parent_reads:
                os.close(reads)
            command = [slipway.PROGRAM, "child", "plan", model, self.cache, "conv-", "1", "0.1"]
            subprocess.run(command, stdin=subprocess.PIPE, stdout=writes, timeout=60, env=slipway.ENVIRONMENT, check=True)
            os.close(writes)
            if parent_reads:
                os.close(reads)
            made.append(len(self.plans()))
        self.assertEqual(made, [0, 1])

    def test_killed_at_any_time_the_next_start_works(self):
        model = conv_model(self.folder / "conv.onnx")
        for delay in (0.0, 0.05, 0.2, 0.5):
            server = self.serve(model)
            time.sleep(delay)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(30)
            server.stop()
        server = self.serve(model)
        if self.kind(server) != ["tuned"]:  # unless the last one that was killed had made it
            self.wait_for(server, "runs on its tuned plan")
        self.infer(server, "conv")
        self.assertEqual(len(self.plans()), 1, self.plans())


if __name__ == "__main__":
    unittest.main()
