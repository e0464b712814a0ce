"""`slipway bench`: rows with the agreed keys, for Slipway and for runtimes that are here; those that are not are
left out with a sentence. Times are only checked for being possible."""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

import slipway
from test_export import small_model
from test_verify import fake_environment

# A PyTorch whose networks give the shapes of their inputs.
TORCH = """
import contextlib
import types

import numpy

Tensor, float32, float16, bfloat16 = numpy.ndarray, "float32", "float16", "bfloat16"

class Net:
    def eval(self):
        return self
    def to(self, device):
        return self
    def __call__(self, *arrays):
        assert [array.shape for array in arrays] in SHAPES, [array.shape for array in arrays]
        return []

SHAPES = [[(2, 3, 32, 48)], [(1, 1, 8, 9), (1, 4)]]
jit = types.SimpleNamespace(load=lambda path, map_location: Net(), optimized_execution=lambda wanted: contextlib.nullcontext())
device = lambda name: types.SimpleNamespace(type=name)
from_numpy = lambda array: types.SimpleNamespace(shape=array.shape, ndim=array.ndim, dtype="", to=lambda *_: array)
inference_mode = contextlib.nullcontext
autocast = lambda device, dtype, enabled: contextlib.nullcontext()
set_num_threads = lambda n: None
get_num_threads = lambda: 1
"""

KEYS = ["backend", "model", "precision", "threads", "batch", "latency_ms", "throughput", "load_ms", "peak_rss_mb", "settings"]
STATS = ["min", "median", "mean", "p90", "p95", "p99", "max"]


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        small_model(cls.folder / "m.onnx")
        cls.env = {"VIRTUAL_ENV": sys.prefix, "SLIPWAY_PYTHON": "", "TMPDIR": str(cls.folder)}

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def bench(self, *words, expect=0, **env):
        words = [self.folder / "m.onnx", "--seconds", "0.05", "--opt-level", "0", *words]
        done = slipway.run("bench", *words, env={**self.env, **env}, expect=expect)
        left = [path.name for path in self.folder.iterdir() if path.name.startswith(".slipway")]
        self.assertEqual(left, [])  # nothing of what was made stays
        return done

    def rows(self, *words, **env):
        document = json.loads(self.bench("--json", *words, **env).stdout)
        self.assertEqual(list(document), ["results"])
        for row in document["results"]:
            self.assertEqual(list(row), KEYS)
            self.assertEqual(list(row["latency_ms"]), STATS)
            ms = row["latency_ms"]
            order = [ms[key] for key in ("min", "median", "p90", "p95", "p99", "max")]
            self.assertEqual(order, sorted(order))
            self.assertGreater(ms["min"], 0)
            self.assertAlmostEqual(row["throughput"], row["batch"] * 1e3 / ms["mean"], delta=0.05 * row["throughput"])
            self.assertGreater(row["peak_rss_mb"], 1)
            self.assertGreater(row["load_ms"], 0)
        return document["results"]

    def test_threads_and_batches(self):
        rows = self.rows("--threads", "1,2", "--batch", "1,3")
        self.assertEqual([(r["batch"], r["threads"]) for r in rows], [(1, 1), (1, 2), (3, 1), (3, 2)])
        self.assertTrue(all(r["backend"] == "slipway" and r["precision"] == "fp32" for r in rows))

    def test_onnx_runtime_beside_it(self):
        rows = self.rows("--backend", "slipway,onnxruntime", "--threads", "1", "--set", "onnxruntime.optimization=1")
        self.assertEqual([r["backend"] for r in rows], ["slipway", "onnxruntime"])
        settings = rows[1]["settings"]
        self.assertEqual((settings["intra_op_num_threads"], settings["optimization"], settings["providers"]), ("1", "1", "CPU"))

    def test_openvino_and_litert_get_their_formats(self):
        found = [row["name"] for row in json.loads(slipway.run("backends", "--json", env=self.env).stdout) if row["available"]]
        wanted = [name for name in ("openvino", "litert") if name in found]
        if not wanted:
            self.skipTest("neither openvino nor litert is installed")
        self.assertEqual([r["backend"] for r in self.rows("--backend", ",".join(wanted), "--threads", "1")], wanted)

    def test_who_is_not_here_is_left_out(self):
        nothing = {"VIRTUAL_ENV": "", "PATH": "/nowhere"}
        done = self.bench("--backend", "torch,slipway", "--json", **nothing)
        self.assertIn("torch is left out: is not available: there is no Python environment", done.stderr)
        self.assertEqual([row["backend"] for row in json.loads(done.stdout)["results"]], ["slipway"])
        done = self.bench("--backend", "torch", expect=3, **nothing)
        self.assertIn("no backend could run it", done.stderr)

    def test_plan(self):
        plan = self.folder / "m.slip"
        slipway.run("build", self.folder / "m.onnx", "-o", plan, "--shapes", "2x3x64x64", "-O", "0")
        document = slipway.run("bench", plan, "--seconds", "0.05", "--json", env=self.env).stdout
        self.assertEqual(json.loads(document)["results"][0]["batch"], 2)
        done = slipway.run("bench", plan, "--batch", "3", env=self.env, expect=1)
        self.assertIn("the plan is for batches of 2, not 3", done.stderr)
        done = slipway.run("bench", plan, "--backend", "onnxruntime", env=self.env, expect=2)
        self.assertIn("a plan runs in Slipway only", done.stderr)

    def test_auto_falls_back_and_says_so(self):
        done = self.bench("--device", "auto", "--json", SLIPWAY_CUDA_DRIVER="/nowhere")
        self.assertIn("running on the CPU: there is no NVIDIA driver", done.stderr)
        self.assertEqual([row["precision"] for row in json.loads(done.stdout)["results"]], ["fp32"])

    def test_a_signal_leaves_nothing(self):
        for signal_sent in (signal.SIGINT, signal.SIGTERM):
            command = [slipway.PROGRAM, "bench", self.folder / "m.onnx", "--seconds", "60", "--opt-level", "0"]
            env = {**slipway.ENVIRONMENT, **self.env}
            running = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 30
            while not list(self.folder.glob(".slipway*/*.slip")) and time.monotonic() < until:
                time.sleep(0.01)
            running.send_signal(signal_sent)
            self.assertEqual(running.wait(30), -signal_sent)
            self.assertEqual(list(self.folder.glob(".slipway*")), [])

    def test_torchscript(self):
        path, fake = self.folder / "m.torchscript", fake_environment(self.folder / "venv", "torch", "__init__.py", TORCH)
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("m/constants.pkl", "m/code/m.py", "m/data.pkl"):
                archive.writestr(name, b"")
        words = ["bench", path, "--seconds", "0.01", "--backend"]
        for shapes, batch in ((("--imgsz", "32,48", "--batch", "2"), 2), (("--shapes", "1x1x8x9", "--shapes", "b=1x4"), 1)):
            found = slipway.run(*words, "torch", "--json", *shapes, env={**self.env, **fake}).stdout
            self.assertEqual([(row["backend"], row["batch"]) for row in json.loads(found)["results"]], [("torch", batch)])
        done = slipway.run(*words, "torch", env={**self.env, **fake}, expect=1)
        self.assertIn("does not say how large its inputs are; give --imgsz or --shapes", done.stderr)
        done = slipway.run(*words, "slipway", "--imgsz", "32", env=self.env, expect=2)
        self.assertIn("no backend could run it; the last: the file is a TorchScript archive", done.stderr)

    def test_table_and_peaks(self):
        text = self.bench("--threads", "1", "--isa-peaks").stdout
        self.assertRegex(text, r"isa +threads +GFLOP/s")
        self.assertRegex(text, r"backend +precision +min +median +mean +p90 +p95 +p99 +max +images/s +load ms +peak MB")
        peaks = json.loads(self.bench("--threads", "1", "--isa-peaks", "--json").stdout)["isa_peaks"]
        self.assertEqual(peaks[0]["isa"], "plain")
        self.assertTrue(all(peak["gflops"] > 0 for peak in peaks))

    def test_wrong_use(self):
        cases = {
            ("--threads", "0"): "--threads wants up to 16 whole numbers from 1 to 1024",
            ("--batch", "1,x"): "--batch wants",
            ("--backend", "slipway,slipway"): "names slipway twice",
            ("--precision", "int4"): "--precision wants fp32, fp16, bf16 or (with --device cuda) tf32",
            ("--precision", "tf32"): "--precision wants fp32, fp16, bf16 or (with --device cuda) tf32",
        }
        for words, text in cases.items():
            self.assertIn(text, self.bench(*words, expect=1).stderr)
        self.assertIn("MODEL is missing", slipway.run("bench", expect=1).stderr)
        self.assertIn("cannot be opened", slipway.run("bench", "nowhere.onnx", expect=2).stderr)


if __name__ == "__main__":
    unittest.main()
