"""Two convolutions in one kernel on the GPU, in the emulator (tests/cuda_emu): a bottleneck, a depthwise with its 1 x 1."""

import json
import zlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper
from test_cuda import Emulated, anywhere

import slipway


class Pairs(Emulated):
    """x, 16 channels: 3 x 3 to 8, 3 x 3 back, x added; depthwise 3 x 3 of stride 2, 1 x 1 to 24; SiLU behind each."""

    def setUp(self):
        super().setUp()
        self.make((1, 16, 13, 11))

    def make(self, shape):
        random = np.random.default_rng(5)
        self.nodes, self.weights = [], []
        at = self.conv("a", "x", random.normal(0, 0.1, (8, 16, 3, 3)))
        at = self.conv("b", at, random.normal(0, 0.1, (16, 8, 3, 3)))
        self.nodes.append(helper.make_node("Add", [at, "x"], ["sum"]))
        at = self.conv("c", "sum", random.normal(0, 0.3, (16, 1, 3, 3)), group=16, strides=[2, 2])
        at = self.conv("d", at, random.normal(0, 0.3, (24, 16, 1, 1)))
        port = lambda name, dims=None: helper.make_tensor_value_info(name, T.FLOAT, dims)  # noqa: E731
        graph = helper.make_graph(self.nodes, "g", [port("x", shape)], [port(at)], self.weights)
        self.path = self.folder / "m.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), self.path)
        np.save(self.folder / "x.npy", random.uniform(-1, 1, shape).astype(np.float32))

    def conv(self, name, source, weights, **attributes):
        self.weights.append(helper.make_tensor(f"w{name}", T.FLOAT, weights.shape, weights.astype(np.float32).ravel()))
        pad = weights.shape[2] // 2
        self.nodes.append(
            helper.make_node("Conv", [source, f"w{name}"], [f"{name}0"], name=name, pads=[pad] * 4, **attributes)
        )
        self.nodes.append(helper.make_node("Sigmoid", [f"{name}0"], [f"{name}1"]))
        self.nodes.append(helper.make_node("Mul", [f"{name}0", f"{name}1"], [name]))
        return name

    def run_on(self, device, model):
        words = ("run", model, "-i", self.folder / "x.npy", "-o", self.folder / "out", "--device", device)
        slipway.run(*words, env=self.env)
        return np.load(self.folder / "out" / "d.npy")

    def kernels(self, model):
        text = slipway.run("inspect", model, "--device", "cuda", "--json", env=self.env).stdout
        return {node["node"]: node["kernel"] for node in json.loads(text)["nodes"] if node["kernel"] != "kernels"}

    def build(self):
        words = ("--device", "cuda", "--timing-cache", self.folder / "times.txt")
        slipway.run("build", self.path, "-o", self.folder / "m.slip", *words, env={**self.env, "EMU_CUDA": "idle"})
        return self.folder / "m.slip"

    def change_times(self, change):
        """Of each row of the cache: `change` gets its cells (convolution, kernel, times), and gives those to write or None."""
        path, lines, n = self.folder / "times.txt", [], 0
        for line in path.read_text().splitlines()[:-1]:
            cells = line.split("\t")
            if len(cells) == 3:
                cells = change(*cells)
                n += cells is not None
            if cells:
                lines.append("\t".join(cells))
        text = "\n".join(lines) + "\n"
        path.write_text(f"{text}end {n} {zlib.crc32(text.encode()):08x}\n")

    @anywhere
    def test_one_kernel_by_estimate_where_maps_are_large(self):
        self.assertTrue({"a", "b", "c", "d"} <= self.kernels(self.path).keys())
        self.make((8, 16, 160, 160))
        kernels = self.kernels(self.path)
        self.assertTrue(kernels["b"].startswith("PAIR_16_8"), kernels)
        self.assertNotIn("a", kernels)

    def test_times_choose_one_kernel_or_two(self):
        want, plan = self.run_on("cpu", self.path), self.build()
        times = (self.folder / "times.txt").read_text()
        self.assertRegex(times, r"(?m)^conv .* then conv .*\tapart\t")
        self.assertRegex(times, r"(?m)^conv .* then conv .*\tPOINT_3_S2_")
        for names in (("apart", "apart"), ("PAIR_16_8", "POINT_3_S2_16X32")):
            win = lambda conv, kernel, _: None if " in " in conv else (conv, kernel, f"{5 if kernel in names else 90} 5")
            self.change_times(win)
            self.build()  # which writes down what is best in the network: two kernels, since all takes the same time there
            self.assertTrue({"a", "b", "c", "d"} <= self.kernels(plan).keys())
            self.change_times(
                lambda conv, kernel, times: (
                    (conv, names["groups 16" in conv], times) if " then " in conv and " in " in conv else (conv, kernel, times)
                )
            )
            self.build()
            kernels = self.kernels(plan)
            if names[0] == "apart":
                self.assertTrue({"a", "b", "c", "d"} <= kernels.keys(), kernels)
            else:
                self.assertEqual({k: kernels[k] for k in "bd"}, dict(zip("bd", names)))
                self.assertFalse({"a", "c"} & kernels.keys())
            self.assertLess(np.abs(self.run_on("cuda", plan) - want).max(), 1e-2)

    def test_profile_has_both_and_nothing_between(self):
        self.make((8, 16, 160, 160))
        words = ("profile", self.path, "--device", "cuda", "--runs", "1", "--json")
        found = json.loads(slipway.run(*words, env={**self.env, "EMU_CUDA": "idle"}).stdout)
        (node,) = [node for node in found["nodes"] if node["node"] == "b"]
        pixels = 8 * 160 * 160
        self.assertEqual(node["flops"], 2 * 2 * pixels * 16 * 8 * 9)
        self.assertEqual(node["bytes"], 2 * (3 * pixels * 16 + 2 * 16 * 8 * 9))
