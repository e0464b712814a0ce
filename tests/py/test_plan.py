"""Plan files: built, loaded, refused; the same results as the model; profiles, refit, diff, inspect."""

import json
import pathlib
import resource
import shutil
import subprocess
import tempfile
import unittest
import zlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import slipway

MODEL = slipway.SAMPLE_MODEL


def small_model(path, batch="n", size=None, seed=1, channels=8):
    """Two convolutions; open height and width without a size."""
    sides = [size or "h", size or "w"]
    r = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "w2"], ["y"]),
    ]
    constants = [
        ("w1", r.standard_normal((channels, 3, 3, 3)).astype(np.float32)),
        ("b1", r.standard_normal(channels).astype(np.float32)),
        ("w2", r.standard_normal((4, channels, 1, 1)).astype(np.float32)),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", T.FLOAT, [batch, 3, *sides])],
        [helper.make_tensor_value_info("y", T.FLOAT, [batch, 4, *sides])],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def batch_model(path):
    """Two small layers, which go through a batch picture by picture on one thread, and a wide one that may write rows."""
    r = np.random.default_rng(5)
    chain = ["x", "a", "r", "b", "s", "y"]
    nodes = [
        helper.make_node("Relu", [a], [b]) if i % 2 else helper.make_node("Conv", [a, f"w{i}"], [b])
        for i, (a, b) in enumerate(zip(chain, chain[1:]))
    ]
    constants = [
        numpy_helper.from_array(r.standard_normal(shape).astype(np.float32), f"w{2 * i}")
        for i, shape in enumerate([(8, 3, 1, 1), (256, 8, 1, 1), (256, 256, 1, 1)])
    ]
    x, y = (helper.make_tensor_value_info(n, T.FLOAT, [2, c, 14, 14]) for n, c in (("x", 3), ("y", 256)))
    graph = helper.make_graph(nodes, "batch", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def products_model(path, rows):
    """Two products: MatMul, and Gemm with its weights the other way round and a bias."""
    r = np.random.default_rng(3)
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], transB=1),
    ]
    arrays = {"w1": (40, 70), "w2": (33, 70), "b2": (33,)}
    constants = [numpy_helper.from_array(r.standard_normal(s).astype(np.float32), n) for n, s in arrays.items()]
    x, y = (helper.make_tensor_value_info(n, T.FLOAT, [rows, c]) for n, c in (("x", 40), ("y", 33)))
    graph = helper.make_graph(nodes, "products", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path, [numpy_helper.to_array(c).astype(np.float64) for c in constants]


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def run_on(self, model, *shape, expect=0, options=(), env=None):
        x = self.folder / "x.npy"
        np.save(x, np.random.default_rng(7).standard_normal(shape).astype(np.float32))
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        process = slipway.run("run", model, "--input", f"x={x}", "--output-dir", out, *options, expect=expect, env=env)
        return np.load(out / "y.npy") if expect == 0 else process.stderr


class Plans(Folder):
    def build(self, model=MODEL, *options, name="a.slip"):
        path = self.folder / name
        slipway.run("build", model, "-o", path, "--opt-level", 0, *options)
        return path

    def test_a_plan_gives_the_bits_of_its_model(self):
        model = small_model(self.folder / "m.onnx", 2, 12)
        want = self.run_on(model, 2, 3, 12, 12)
        for options in ((), ("--portable",)):
            got = self.run_on(self.build(model, *options), 2, 3, 12, 12)
            np.testing.assert_array_equal(got, want)

    def test_portable_plans_run_on_any_cpu(self):
        model = small_model(self.folder / "m.onnx", 2, 12)
        want = self.run_on(model, 2, 3, 12, 12)
        for precision, error in ("fp32", 1e-5), ("bf16", 0.02), ("fp16", 0.002):
            plan = self.build(model, "--portable", "--precision", precision)
            for mask in "none", "sse2", "sse2,avx2":
                got = self.run_on(plan, 2, 3, 12, 12, env={"SLIPWAY_CPU_MASK": mask})
                np.testing.assert_allclose(got, want, atol=error * np.abs(want).max())

    def test_a_plan_of_a_batch_runs_with_any_number_of_threads(self):
        """How a batch is cut, and so which convolutions may write rows, depends on it; the packed weights do not."""
        model = batch_model(self.folder / "m.onnx")
        want = self.run_on(model, 2, 3, 14, 14)
        plan = self.build(model)
        for threads in 1, 2, 3:
            got = self.run_on(plan, 2, 3, 14, 14, options=("--threads", threads))
            np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())

    def test_products_with_constant_weights_are_packed(self):
        for rows in (13, 1, "n"):
            model, (w1, w2, b2) = products_model(self.folder / "m.onnx", rows)
            shape = (rows if rows != "n" else 5, 40)
            x = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
            want = np.maximum(x @ w1, 0) @ w2.T + b2
            for options in ((), ("--portable",)):
                got = self.run_on(self.build(model, *options), *shape)
                np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())

    def test_halves_are_close_and_survive_a_file(self):
        model = small_model(self.folder / "m.onnx", 2, 12, channels=64)
        want = self.run_on(model, 2, 3, 12, 12)
        for precision, error in (("bf16", 0.01), ("fp16", 0.001)):
            plans = [self.build(model, "--precision", precision, *options) for options in ((), ("--portable",))]
            for plan in plans:
                got = self.run_on(plan, 2, 3, 12, 12)
                self.assertGreater(np.abs(got - want).max(), 0)
                np.testing.assert_allclose(got, want, atol=error * np.abs(want).max())
            stripped = self.build(model, "--precision", precision, "--strip", name="empty.slip")
            full = self.folder / "full.slip"
            slipway.run("refit", stripped, model, "-o", full)
            np.testing.assert_array_equal(self.run_on(full, 2, 3, 12, 12), self.run_on(plans[0], 2, 3, 12, 12))
        run = slipway.run("build", model, "-o", self.folder / "no.slip", "--precision", "int4", expect=1)
        self.assertIn("expected fp32, tf32, fp16, bf16 or best", run.stderr)
        self.assertFalse((self.folder / "no.slip").exists())

    def test_best_is_one_of_both_precisions(self):
        model = small_model(self.folder / "m.onnx", 2, 12, channels=64)
        plans = [self.build(model, "--precision", p, name=f"{p}.slip") for p in ("fp32", "bf16", "best")]
        float32, bfloat16, best = (self.run_on(plan, 2, 3, 12, 12) for plan in plans)
        self.assertTrue(np.array_equal(best, float32) or np.array_equal(best, bfloat16))

    def test_batches(self):
        model = small_model(self.folder / "m.onnx", size=12)
        fixed = self.build(model, "--batch", "3", name="fixed.slip")
        np.testing.assert_array_equal(self.run_on(fixed, 3, 3, 12, 12), self.run_on(model, 3, 3, 12, 12))
        self.assertIn("should be", self.run_on(fixed, 2, 3, 12, 12, expect=3))
        some = self.build(model, "--batch", "1:2:4", name="some.slip")
        for n in (1, 4):
            np.testing.assert_array_equal(self.run_on(some, n, 3, 12, 12), self.run_on(model, n, 3, 12, 12))
        self.assertIn("outside the profile", self.run_on(some, 5, 3, 12, 12, expect=3))

    def test_batches_that_do_not_fit_are_refused(self):
        cases = (
            ("n", 12, ("--batch", "4:2:1"), "min <= opt <= max"),
            ("n", 12, ("--batch", "0"), "--batch wants"),
            ("n", 12, ("--batch", "2", "--shapes", "2x3x12x12"), "exclude one another"),
            ("n", None, ("--batch", "2"), "give its shape by --shapes"),
            (1, 12, ("--batch", "2"), "fixed at 1 in the model"),
        )
        for batch, size, options, words in cases:
            model = small_model(self.folder / "m.onnx", batch, size)
            run = slipway.run("build", model, "-o", self.folder / "no.slip", *options, expect=1)
            self.assertIn(words, run.stderr)
            self.assertEqual(run.stderr.count("\n"), 1)

    def test_strict_refuses_a_plan_of_another_cpu(self):
        model = small_model(self.folder / "m.onnx", 2, 12)
        plan = self.build(model)
        data = bytearray(plan.read_bytes())
        signature = json.loads(slipway.run("inspect", plan, "--json").stdout)["receipt"]["cpu signature"].encode()
        self.assertEqual(data.count(signature), 1)
        at = data.index(signature)
        data[at] ^= 1
        end = 64 + int.from_bytes(data[24:32], "little")
        data[12:16] = zlib.crc32(data[64:end]).to_bytes(4, "little")
        plan.write_bytes(data)
        self.run_on(plan, 2, 3, 12, 12)
        run = slipway.run("run", plan, "--input", f"x={self.folder / 'x.npy'}", "--strict", expect=2)
        self.assertIn("tuned on another CPU", run.stderr)
        self.assertEqual(run.stderr.count("\n"), 1)
        page = self.folder / "r.html"
        ports = ["--http-port", "0", "--grpc-port", "-1", "--metrics-port", "-1"]
        for verb in (["profile", "--runs", "1"], ["report", "-o", page, "--runs", "1"], ["serve", *ports], ["bench"]):
            run = slipway.run(*verb, plan, "--strict", expect=2)
            self.assertIn("tuned on another CPU", run.stderr)
        self.assertFalse(page.exists())

    def test_same_model_same_bytes(self):
        a, b = self.build(name="a.slip"), self.build(name="b.slip")
        self.assertEqual(a.read_bytes(), b.read_bytes())

    def test_two_builds_at_once_leave_a_whole_plan(self):
        plan = self.folder / "a.slip"
        command = [slipway.PROGRAM, "build", MODEL, "-o", plan, "--opt-level", "0"]
        running = [subprocess.Popen(command, env=slipway.ENVIRONMENT, stdout=subprocess.DEVNULL) for _ in range(2)]
        self.assertEqual([process.wait(60) for process in running], [0, 0])
        self.assertEqual(plan.read_bytes(), self.build(name="b.slip").read_bytes())
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["a.slip", "b.slip"])

    def test_detect_takes_a_plan(self):
        picture = self.folder / "p.png"
        import cv2

        cv2.imwrite(str(picture), np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8))
        found = [
            slipway.run("detect", model, picture, "--json", "-", "--conf", "0.001").stdout for model in (MODEL, self.build())
        ]
        with_times = [json.loads(text)[0] for text in found]
        without = [{key: value for key, value in p.items() if "ms" not in key} for p in with_times]
        self.assertEqual(*without)

    def test_inspect_tells_what_a_plan_is(self):
        plan = self.build()
        report = json.loads(slipway.run("inspect", plan, "--json").stdout)
        self.assertEqual(report["format"], "plan")
        self.assertEqual(report["receipt"]["model"], MODEL.name)
        self.assertEqual(report["receipt"]["model crc32"][:8], f"{zlib.crc32(MODEL.read_bytes()):08x}")
        self.assertEqual(report["bytes"], plan.stat().st_size)
        text = slipway.run("inspect", plan, "--layers").stdout
        self.assertIn("FusedConv", text)

    def test_shapes_fix_dims_and_make_profiles(self):
        model = small_model(self.folder / "m.onnx")
        fixed = self.build(model, "--shapes", "x=1x3x16x16", name="fixed.slip")
        self.assertEqual(json.loads(slipway.run("inspect", fixed, "--json").stdout)["inputs"][0]["shape"], [1, 3, 16, 16])
        self.run_on(fixed, 1, 3, 16, 16)
        self.assertIn("should be", self.run_on(fixed, 2, 3, 16, 16, expect=3))
        ranges = self.build(model, "--shapes", "1:2:4x3x8:16:32x8:16:32", "--shapes", "1x3x100x100", name="ranges.slip")
        for shape in ((1, 3, 8, 32), (4, 3, 32, 8), (1, 3, 100, 100)):
            np.testing.assert_array_equal(self.run_on(ranges, *shape), self.run_on(model, *shape))
        for shape in ((5, 3, 16, 16), (1, 3, 33, 16), (2, 3, 100, 100)):
            self.assertIn("outside every profile", self.run_on(ranges, *shape, expect=3))

    def test_shapes_that_do_not_fit_are_refused(self):
        model = small_model(self.folder / "m.onnx", 1)
        for shapes, words in (
            (["y=1x3x8x8"], "no input 'y'"),
            (["2x3x8x8"], "fixed at 1"),
            (["1x3x8"], "dims"),
            (["1x3x8:4:2x8"], "min"),
            (["1x3xax8"], "found"),
            (["1x3x1:2x8"], "found"),
        ):
            run = slipway.run("build", model, "-o", self.folder / "no.slip", *[f"--shapes={s}" for s in shapes], expect=1)
            self.assertIn(words, run.stderr)
            self.assertFalse((self.folder / "no.slip").exists())

    def test_refit_puts_weights_in(self):
        first, second = (small_model(self.folder / f"{i}.onnx", 1, 16, seed=i) for i in (1, 2))
        stripped = self.build(first, "--strip", name="empty.slip")
        self.assertIn("stripped", self.run_on(stripped, 1, 3, 16, 16, expect=2))
        full = self.folder / "full.slip"
        slipway.run("refit", stripped, second, "-o", full)
        np.testing.assert_array_equal(self.run_on(full, 1, 3, 16, 16), self.run_on(second, 1, 3, 16, 16))
        other = small_model(self.folder / "other.onnx", 1, 16, channels=12)
        run = slipway.run("refit", stripped, other, "-o", self.folder / "no.slip", expect=3)
        self.assertIn("another architecture", run.stderr)

    def test_diff_finds_what_differs(self):
        one, same, weights = (small_model(self.folder / f"{n}.onnx", 1, 16, seed=s) for n, s in (("a", 1), ("b", 1), ("c", 2)))
        wide = small_model(self.folder / "d.onnx", 1, 16, channels=12)
        diff = lambda a, b: json.loads(slipway.run("diff", a, b, "--json").stdout)
        none = {"structure": None, "tactics": 0, "steps": [], "packed": 0, "constants": 0, "largest": 0, "metadata": 0}
        self.assertEqual(diff(one, same), none)
        self.assertEqual(diff(one, weights)["constants"], 3)
        self.assertIn("value", diff(one, wide)["structure"])

    def test_diff_of_plans_tells_kernels_and_packed_weights(self):
        def model(name, seed):
            r, nodes, constants = np.random.default_rng(seed), [], []
            for i, (source, target, channels) in enumerate((("x", "a", 3), ("a", "b", 32), ("b", "y", 32))):
                nodes.append(helper.make_node("Conv", [source, f"w{i}"], [target], pads=[1] * 4, name=target))
                weights = r.standard_normal((32, channels, 3, 3)).astype(np.float32)
                constants.append(numpy_helper.from_array(weights, f"w{i}"))
            x, y = (helper.make_tensor_value_info(n, T.FLOAT, [1, c, 48, 48]) for n, c in (("x", 3), ("y", 32)))
            graph = helper.make_graph(nodes, "g", [x], [y], constants)
            path = self.folder / name
            onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
            return path

        one, other = model("a.onnx", 1), model("b.onnx", 2)
        large, changed = self.build(one, name="a.slip"), self.build(other, name="b.slip")
        small = self.build(one, "--max-weight-growth", "1", name="c.slip")
        diff = lambda a, b: json.loads(slipway.run("diff", a, b, "--json").stdout)
        self.assertEqual((diff(large, one)["tactics"], diff(large, large)["packed"]), (0, 0))
        found = diff(large, changed)
        self.assertEqual((found["structure"], found["tactics"], found["packed"]), (None, 0, 3))
        kernels = [
            [step["tactic"] for step in json.loads(slipway.run("inspect", p, "--json").stdout)["steps"]] for p in (large, small)
        ]
        want = [[a, b] for a, b in zip(*kernels) if a != b]
        self.assertEqual([step["tactics"] for step in diff(large, small)["steps"]], want)
        text = slipway.run("diff", large, small).stdout
        self.assertIn(f"tactics     {len(want)} steps differ\n", text)
        for pair in want:
            self.assertRegex(text, " +".join(pair))

    def test_what_cannot_be_loaded_is_refused_in_a_sentence(self):
        plan = self.build().read_bytes()
        bad = self.folder / "bad.slip"

        def fails(data, words, env=None):
            bad.write_bytes(data)
            run = slipway.run("inspect", bad, expect=2, env=env)
            self.assertRegex(run.stderr, words)
            self.assertEqual(run.stderr.count("\n"), 1)

        fails(plan[:100], "broken")
        fails(plan[:-1], "bytes and should have")
        fails(plan + b"\0", "bytes and should have")
        fails(plan[:8] + b"\x02" + plan[9:], "format 2")
        fails(plan[:80] + bytes([plan[80] ^ 1]) + plan[81:], "checksum")
        fails(plan[:24] + b"\xff" * 8 + plan[32:], "overlap|outside")
        fails(plan, "needs .*avx2.*CPU has", env={"SLIPWAY_CPU_MASK": "sse2"})

    def limited(self, limit, value, *arguments):
        """The program where a resource is short."""
        return subprocess.run(
            [slipway.PROGRAM, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=slipway.ENVIRONMENT,
            restore_signals=False,  # Python ignores SIGXFSZ, and so does the program then
            preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
        )

    def test_a_full_disk_leaves_what_was_there(self):
        old = self.build(small_model(self.folder / "m.onnx", 2, 12)).read_bytes()
        run = self.limited(resource.RLIMIT_FSIZE, 20000, "build", MODEL, "-o", self.folder / "a.slip", "-O", 0)
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertIn("cannot be written: File too large", run.stderr)
        self.assertEqual(run.stderr.count("\n"), 1)
        self.assertEqual((self.folder / "a.slip").read_bytes(), old)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["a.slip", "m.onnx"])

    def test_without_memory_there_is_a_sentence(self):
        plan, x = self.build(), self.folder / "x.npy"
        np.save(x, np.zeros((1, 3, 416, 416), np.float32))
        if self.limited(resource.RLIMIT_AS, 32 << 20, "version").returncode:
            self.skipTest("the program itself takes more: it is built with sanitizers")
        refused = 0
        for verb in (["build", MODEL, "-o", self.folder / "b.slip", "-O", 0], ["run", plan, "-i", x, "--threads", 1]):
            for megabytes in (32, 40, 50, 60, 80):
                run = self.limited(resource.RLIMIT_AS, megabytes << 20, *verb)
                self.assertIn(run.returncode, (0, 4), f"{verb[0]}, {megabytes} MB: {run.stderr}")
                self.assertEqual(bool(run.returncode), bool(run.stderr))
                refused += run.returncode == 4
        self.assertGreaterEqual(refused, 3)
        self.assertFalse([p for p in self.folder.iterdir() if p.name not in ("a.slip", "b.slip", "x.npy")])

    def test_a_plan_never_overwrites_its_model(self):
        model = shutil.copy(MODEL, self.folder / "m.onnx")
        plan = self.build(model)
        for words in (
            ["build", model, "-o", model],
            ["refit", plan, model, "-o", model],
            ["inspect", model, "--dot", model],
            ["profile", model, "--trace", model, "--runs", 1],
            ["report", model, "-o", model, "--runs", 1],
        ):
            self.assertIn("would overwrite", slipway.run(*words, expect=1).stderr)
        self.assertEqual(pathlib.Path(model).read_bytes(), MODEL.read_bytes())
        run = slipway.run("build", model, "-o", "/dev/full", "-O", 0, expect=3)
        self.assertIn("/dev/full", run.stderr)


if __name__ == "__main__":
    unittest.main()
