"""The CUDA backend without a GPU: a driver that runs the kernel text in an emulator (tests/cuda_emu), or goes wrong in
some way. With SLIPWAY_TEST_GPU the networks run on the real one, too (make check-cuda)."""

import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import zlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper

import slipway
import zoo

LIBRARY = slipway.BUILD / "tests/cuda_emu/libcuda-emu.so"
ON_GPU = bool(os.environ.get("SLIPWAY_TEST_GPU"))
EMULATED = ["shufflenet_v2_x0_5_64", "yolo11n_96", "yolo11n-pose_64"]  # on a GPU: all
RANKED = ["rtdetr-l_64", "yolo26n_64", "yolov10n_64"]  # with generated weights float16 decides the order of their boxes
CUDA_H = pathlib.Path("/usr/local/cuda/include/cuda.h")


def anywhere(test):
    """Marks a test, or a class of them, that holds on a GPU, too."""
    test.anywhere = True
    return test


class Emulated(unittest.TestCase):
    """A driver without a GPU; what holds anywhere runs on a GPU that is to be tested."""

    anywhere = False

    def setUp(self):
        real = ON_GPU and getattr(getattr(self, self._testMethodName), "anywhere", self.anywhere)
        if not real and not LIBRARY.exists():
            self.skipTest("the emulator is not built")
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.env = {} if real else {"SLIPWAY_CUDA_DRIVER": str(LIBRARY), "SLIPWAY_NVRTC": str(LIBRARY)}
        self.env |= {
            "SLIPWAY_CUDNN": "/nonexistent",  # the real ones would meet an emulated GPU
            "SLIPWAY_CUBLASLT": "/nonexistent",
            "SLIPWAY_CACHE": str(self.folder / "cache"),
        }

    def compiled(self):
        """Names of the kernels in the cache."""
        return {path.name.split("-")[0] for path in (self.folder / "cache/cuda").iterdir()}


class Device(Emulated):
    def setUp(self):
        super().setUp()
        node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        self.model(node, np.full((8, 8, 3, 3), 0.5, np.float32))

    def model(self, *nodes_and_weights):
        nodes = [n for n in nodes_and_weights if isinstance(n, onnx.NodeProto)]
        weights = [
            helper.make_tensor("w", T.FLOAT, w.shape, w.ravel()) for w in nodes_and_weights if isinstance(w, np.ndarray)
        ]
        port = lambda name: helper.make_tensor_value_info(name, T.FLOAT, [1, 8, 4, 4])  # noqa: E731
        graph = helper.make_graph(nodes, "g", [port("x")], [port(nodes[-1].output[0])], weights)
        self.path = self.folder / "m.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), self.path)
        np.save(self.folder / "x.npy", np.linspace(-1, 1, 128, dtype=np.float32).reshape(1, 8, 4, 4))

    def run_on(self, device, *options, expect=0, **env):
        return slipway.run(
            *("run", self.path, "-i", self.folder / "x.npy", "-o", self.folder / "out", "--device", device, *options),
            expect=expect,
            env={**self.env, **env},
        )

    def result(self):
        return np.load(self.folder / "out" / "y.npy")

    @anywhere
    def test_runs_like_the_cpu(self):
        self.run_on("cpu")
        want = self.result()
        self.run_on("cuda")
        self.assertLess(np.abs(self.result() - want).max(), 2e-2)
        self.assertTrue((self.result() != want).any(), "float16 should show")

    def test_devices(self):
        process = slipway.run("devices", env=self.env)
        self.assertRegex(process.stdout, r"(?m)^cuda:1 +Emulated 1: SM 9\.0")
        found = json.loads(slipway.run("devices", "--json", env=self.env).stdout)
        self.assertEqual([gpu["name"] for gpu in found["gpus"]], ["Emulated 0", "Emulated 1"])
        self.assertEqual(found["gpus"][0]["memory_bytes"], 4 << 30)
        nothing = slipway.run("devices", env={**self.env, "SLIPWAY_CUDA_DRIVER": "/nonexistent"})
        self.assertIn("no NVIDIA driver", nothing.stdout)

    def test_each_failure_is_a_sentence(self):
        for how, code, text in (
            ({"SLIPWAY_CUDA_DRIVER": "/nonexistent"}, 2, "there is no NVIDIA driver"),
            ({"EMU_CUDA": "nogpu"}, 2, "finds no GPU"),
            ({"EMU_CUDA": "broken"}, 2, "does not start: unknown error"),
            ({"EMU_CUDA": "old"}, 2, "supports CUDA 11.8, 12.0 is needed"),
            ({"EMU_CUDA": "sm60"}, 2, "has SM 6.0, 7.5 is needed"),
            ({"EMU_CUDA": "nomemory"}, 4, "is out of memory"),
            ({"EMU_CUDA": "taken"}, 4, "GPU 0 (Emulated 0) is out of memory; close other programs"),
            ({"EMU_CUDA": "foreign"}, 2, "does not take code of NVRTC 13.0"),
            ({"EMU_CUDA": "nocompile"}, 2, "unknown architecture"),
            ({"SLIPWAY_NVRTC": "/nonexistent"}, 2, "there is no NVRTC"),
        ):
            with self.subTest(how=how):
                shutil.rmtree(self.folder / "cache", ignore_errors=True)
                message = self.run_on("cuda", expect=code, **how).stderr
                self.assertIn(text, message)
                self.assertEqual(message.count("\n"), 1, message)
                self.assertFalse((self.folder / "out").exists())

    def test_devices_that_are_not_there(self):
        self.assertIn("there is no GPU 7: this machine has 2", self.run_on("cuda:7", expect=2).stderr)
        self.assertIn("there is no device 'gpu'", self.run_on("gpu", expect=1).stderr)

    def test_auto_falls_back_and_says_so(self):
        message = self.run_on("auto", EMU_CUDA="nogpu").stderr
        self.assertIn("running on the CPU: the NVIDIA driver finds no GPU", message)
        message = self.run_on("auto", EMU_CUDA="taken").stderr
        self.assertIn("running on the CPU: GPU 0 (Emulated 0) is out of memory", message)
        want = self.result()
        self.run_on("cpu")
        np.testing.assert_array_equal(self.result(), want)
        self.assertEqual(self.run_on("auto").stderr, "")

    @anywhere
    def test_a_damaged_cache_is_made_anew(self):
        self.run_on("cuda")
        want = self.result()
        files = sorted((self.folder / "cache" / "cuda").iterdir())
        self.assertTrue(files)
        good = [path.read_bytes() for path in files]
        for damage in (lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b[:10], lambda b: b"", lambda b: b + b"x"):
            for path, data in zip(files, good):
                path.write_bytes(damage(data))
            self.run_on("cuda")
            np.testing.assert_array_equal(self.result(), want)
            self.assertEqual([path.read_bytes() for path in files], good)

    @anywhere
    def test_steps_without_a_kernel_run_on_the_cpu(self):
        conv = helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        erf = helper.make_node("Asinh", ["a"], ["b"], name="the asinh")
        add = helper.make_node("Add", ["a", "b"], ["y"])
        self.model(conv, erf, add, np.full((8, 8, 3, 3), 0.01, np.float32))
        self.run_on("cpu")
        want = self.result()
        message = self.run_on("cuda").stderr
        self.assertIn("of 7 steps run on the CPU (Asinh: there is no GPU kernel for it)", message)
        self.assertLess(np.abs(self.result() - want).max(), 2e-3)
        message = self.run_on("cuda", "--no-fallback", expect=2).stderr
        self.assertIn("node 'the asinh' (Asinh) cannot run on the GPU", message)

    def build(self, *options, expect=0, device="cuda", **env):
        cache = self.folder / "times.txt"
        plan = self.folder / "m.slip"
        process = slipway.run(
            *("build", self.path, "-o", plan, "--device", device, "--timing-cache", cache, *options),
            expect=expect,
            env={**self.env, "EMU_CUDA": "idle", **env},  # what is timed need not be computed
        )
        return plan, cache, process

    def test_a_plan_for_a_gpu_is_tuned_once(self):
        self.run_on("cuda")
        want = self.result()
        plan, cache, _ = self.build()
        first, times = plan.read_bytes(), cache.read_text()
        rows = [line for line in times.splitlines() if line.startswith("conv float32 1x8x4x4")]
        self.assertIn("\ndevice Emulated 0, SM 9.0, 132 multiprocessors, kernels ", times)
        self.assertGreater(len(rows), 5)
        self.assertTrue(all(row.split("\t")[1].startswith("CONV_") for row in rows))
        self.build()
        self.assertEqual(cache.read_text(), times, "nothing is timed twice")
        self.assertEqual(plan.read_bytes(), first, "same cache, same plan")
        self.path = plan
        self.run_on("cuda")
        self.assertLess(np.abs(self.result() - want).max(), 1e-3)
        self.run_on("cpu")
        self.assertLess(np.abs(self.result() - want).max(), 2e-2)

    @anywhere
    def test_bfloat16(self):
        self.run_on("cuda")
        half = self.result()
        model = self.path
        self.path, cache, _ = self.build("--precision", "bf16")
        self.assertRegex(slipway.run("inspect", self.path).stdout, r"(?m)^precision +bfloat16 on GPUs$")
        self.assertIn(", bfloat16\n", cache.read_text())
        self.run_on("cuda")
        difference = np.abs(self.result() - half).max()
        self.assertTrue(2e-3 < difference < 5e-2, difference)
        self.run_on("cpu")
        self.assertLess(np.abs(self.result() - half).max(), 2e-3)
        if ON_GPU:
            return
        message = self.run_on("cuda:1", EMU_CUDA="sm75", expect=2).stderr
        self.assertIn("was built for another GPU", message)
        self.path = model
        message = self.build("--precision", "bf16", EMU_CUDA="sm75", expect=2)[2].stderr
        self.assertIn("bfloat16 needs SM 8.0; GPU 0 (Emulated 0) has SM 7.5; build it with --precision fp16", message)

    @anywhere
    def test_float32(self):
        self.run_on("cpu")
        want = self.result()
        model = self.path
        for precision, least, most, name in (("fp32", 0, 1e-5, "float32"), ("tf32", 1e-5, 1e-2, "TF32")):
            self.path = model
            self.path, _, _ = self.build("--precision", precision)
            self.assertRegex(slipway.run("inspect", self.path).stdout, rf"(?m)^precision +{name} on GPUs$")
            self.run_on("cuda")
            self.assertTrue(least <= np.abs(self.result() - want).max() < most)
            self.run_on("cpu")
            self.assertLess(np.abs(self.result() - want).max(), 1e-5)
        self.path = model
        if ON_GPU:
            return
        message = self.build("--precision", "tf32", EMU_CUDA="sm75", expect=2)[2].stderr
        self.assertIn("TF32 needs SM 8.0; GPU 0 (Emulated 0) has SM 7.5", message)
        message = self.build("--precision", "tf32", device="cpu", expect=1)[2].stderr
        self.assertIn("--precision tf32 is for GPUs; give --device cuda", message)

    def test_sm_75(self):
        self.run_on("cuda")
        want = self.result()
        self.run_on("cuda", EMU_CUDA="sm75")
        self.assertLess(np.abs(self.result() - want).max(), 1e-3)

    def write_times(self, cache, lines):
        text = "\n".join(lines) + "\n"
        rows = sum(line.count("\t") == 2 for line in lines)
        cache.write_text(f"{text}end {rows} {zlib.crc32(text.encode()):08x}\n")

    def test_times_choose_the_tile(self):
        plan, cache, _ = self.build()
        lines = cache.read_text().splitlines()
        for tile in ("CONV_R64X8", "CONV_128X8"):
            changed = []
            for line in lines[:-1]:
                cells = line.split("\t")
                if len(cells) == 3:
                    cells[2] = "7 9" if cells[1] == tile else "9 9"
                changed.append("\t".join(cells))
            self.write_times(cache, changed)
            self.build()
            self.assertIn(tile.encode(), plan.read_bytes())

    def test_what_was_best_in_the_network_is_taken(self):
        plan, cache, _ = self.build()
        lines = cache.read_text().splitlines()
        (row,) = [i for i, line in enumerate(lines) if " in " in line]
        conv, tile, times = lines[row].split("\t")
        self.assertEqual((tile, "CONV_64X16" in cache.read_text()), ("CONV_16X16_K4", True))
        lines[row] = "\t".join([conv, "CONV_64X16", times])
        self.write_times(cache, lines[:-1])
        self.assertNotIn(b"CONV_64X16", plan.read_bytes())
        self.build()
        self.assertIn(b"CONV_64X16", plan.read_bytes())

    def test_plans_of_another_gpu_are_refused(self):
        self.path, _, _ = self.build()
        message = self.run_on("cuda:1", expect=2).stderr
        self.assertIn("built for another GPU, Emulated 0 (SM 9.0); GPU 1 is Emulated 1 (SM 9.0)", message)
        self.assertIn("--compat sm", message)
        message = self.run_on("cuda", expect=2, EMU_CUDA="sm89").stderr
        self.assertIn("GPU 0 is Emulated 0 (SM 8.9)", message)
        self.assertNotIn("--compat", message)

    def test_compat_sm(self):
        self.assertIn("--compat is 'all', expected sm", self.build("--compat", "all", expect=1)[2].stderr)
        self.path, _, _ = self.build("--compat", "sm")
        text = slipway.run("inspect", self.path).stdout
        self.assertRegex(text, r"(?m)^GPU +Emulated 0 and others, SM 9\.0; tiles for 1 kinds of convolutions$")
        gpu = json.loads(slipway.run("inspect", self.path, "--json").stdout)["gpu"]
        self.assertEqual((gpu["name"], gpu["sm"], gpu["any_of_sm"], len(gpu["tiles"])), ("Emulated 0", 90, True, 1))
        self.run_on("cuda:1")
        self.assertIn("another GPU", self.run_on("cuda:1", expect=2, EMU_CUDA="sm89").stderr)

    def without_compiler(self, *options, expect=0):
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        return self.run_on("cuda", *options, expect=expect, SLIPWAY_NVRTC="/nonexistent")

    @anywhere
    def test_code_in_a_plan_runs_when_trusted(self):
        self.run_on("cuda")
        want = self.result()
        model = self.path
        self.path, _, _ = self.build("--with-code")
        self.assertRegex(slipway.run("inspect", self.path).stdout, r"(?m)^GPU code +of \d+ kernels, [\d.]+ kB; run with")
        message = self.without_compiler(expect=2).stderr
        self.assertIn("the code in the plan was not trusted; give --trust-code if you trust", message)
        self.without_compiler("--trust-code")
        self.assertLess(np.abs(self.result() - want).max(), 1e-3)
        self.assertFalse((self.folder / "cache").exists(), "code of plans does not get into the cache")
        good = self.path.read_bytes()
        self.path = model
        self.build()
        self.assertLess((self.folder / "m.slip").stat().st_size, len(good), "without --with-code there is none")
        message = self.build("--with-code", device="cpu", expect=1)[2].stderr
        self.assertIn("--with-code keeps compiled GPU kernels, and this plan is for the CPU", message)

    def test_code_in_a_plan_that_was_changed(self):
        self.path, _, _ = self.build("--with-code")
        good = self.path.read_bytes()
        (size,) = struct.unpack_from("<Q", good, 24)
        at = good.rindex(b"CONV_")  # the emulator's code of a kernel is its name
        self.assertGreater(at, 64 + size)
        self.path.write_bytes(good[:at] + b"X" + good[at + 1 :])
        message = self.without_compiler("--trust-code", expect=2).stderr
        self.assertRegex(message, r"the code of GPU kernel 'CONV_\w+' was changed")
        self.assertEqual(message.count("\n"), 1)
        self.run_on("cuda")  # code that nobody trusts is not looked at
        for old, new, text in (
            (b"TO_ROWS", b"TO_ROWX", "and the plan holds no code of kernel TO_ROWS as this Slipway has it for SM 9.0"),
            (b"\x18\x80", b"\x18\x83", "lies outside the file"),
        ):
            control = bytearray(good[64 : 64 + size])
            at = control.index(old, control.index(b"TO_ROWS"))
            control[at : at + len(new)] = new
            changed = bytearray(good)
            changed[64 : 64 + size] = control
            struct.pack_into("<I", changed, 12, zlib.crc32(control))
            self.path.write_bytes(changed)
            with self.subTest(text):
                self.assertIn(text, self.without_compiler("--trust-code", expect=2).stderr)

    def test_bench(self):
        options = ("--device", "cuda", "--seconds", "0.2", "--opt-level", "0", "--json")
        env = {**self.env, "EMU_CUDA": "idle", "XDG_CACHE_HOME": str(self.folder)}
        (row,) = json.loads(slipway.run("bench", self.path, *options, env=env).stdout)["results"]
        self.assertEqual((row["backend"], row["precision"], row["settings"]["device"]), ("slipway", "fp16", "cuda"))
        self.assertEqual(row["latency_ms"]["max"], 1, "by the events of the emulator: a millisecond")
        with_copies = slipway.run("bench", self.path, *options, "--include-transfers", env=env).stdout
        self.assertNotEqual(json.loads(with_copies)["results"][0]["latency_ms"]["median"], 1)
        done = slipway.run("bench", self.path, *options, "--backend", "ncnn,slipway", env=env)
        self.assertIn("ncnn is left out: ", done.stderr)
        refused = slipway.run("bench", self.path, "--device", "cuda", env={**env, "EMU_CUDA": "nogpu"}, expect=2)
        self.assertIn("finds no GPU", refused.stderr)
        self.assertIn("there is no device 'gpu'", slipway.run("bench", self.path, "--device", "gpu", expect=1).stderr)

    def test_what_is_measured_on_a_gpu_is_ready(self):
        env = {**os.environ, **self.env, "EMU_CUDA": "idle", "XDG_CACHE_HOME": str(self.folder), "SLIPWAY_BUILD": slipway.BUILD}
        for words, text in (
            (("load", "--batches", "1"), r"(?m)^\| 1 \| code in the plan, no NVRTC \| [\d.]+ \| [\d.-]+ \| 0 \| 0 \|$"),
            (("floors", "--batches", "1"), r"\| CONV_\w+ \| 50\.0 \| 0\.7 \|"),
            (("gate", "--batches", "1", "--backends", "slipway", "--seconds", "0.1"), r"\| 1 \| 1\.0000 \| nan \| 1,000 \|"),
            (("precisions",), r"\| tf32 \| 1\.0000 \|"),
        ):
            with self.subTest(words=words):
                command = [sys.executable, slipway.ROOT / "bench/gpu", words[0], self.path, *words[1:]]
                done = subprocess.run(command, capture_output=True, text=True, env=env)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, text)

    def test_time_for_tuning_ends(self):
        self.path, cache, _ = self.build("--tune-seconds", "0.000000001")
        self.assertNotIn("CONV_", cache.read_text())
        self.assertEqual(json.loads(slipway.run("inspect", self.path, "--json").stdout)["gpu"]["tiles"], {})
        self.run_on("cuda")

    def test_choices_that_were_not_tried_are_not_kept(self):
        _, cache, _ = self.build()
        lines = cache.read_text().splitlines()
        alone = [line for line in lines[:-1] if " in " not in line]
        self.assertLess(len(alone), len(lines) - 1)
        self.write_times(cache, alone)
        self.build("--tune-seconds", "0.000000001")
        self.assertEqual([line for line in cache.read_text().splitlines() if " in " in line], [])
        self.build()
        self.assertEqual(cache.read_text().splitlines(), lines)

    def test_build_without_a_gpu(self):
        plan, cache, process = self.build(expect=2, EMU_CUDA="nogpu")
        self.assertIn("finds no GPU", process.stderr)
        self.assertFalse(plan.exists() or cache.exists())
        for how in ("nomemory", "taken"):
            plan, cache, process = self.build(expect=4, EMU_CUDA=how)
            self.assertRegex(process.stderr, r"^[^\n]*GPU 0 \(Emulated 0\) is out of memory[^\n]*\n$")
            self.assertFalse(plan.exists() or cache.exists())
        plan, _, process = self.build(device="auto", EMU_CUDA="nogpu")
        self.assertIn("built for the CPU: the NVIDIA driver finds no GPU", process.stderr)
        self.assertIn("direct", json.dumps(json.loads(slipway.run("inspect", plan, "--json").stdout)), "with its kernels")
        self.path = plan
        self.run_on("cpu")

    def test_profile(self):
        env = {**self.env, "EMU_CUDA": "idle"}
        conv = helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], name="the conv")
        erf = helper.make_node("Asinh", ["a"], ["b"], name="the asinh")
        add = helper.make_node("Add", ["a", "b"], ["y"])
        self.model(conv, erf, add, np.full((8, 8, 3, 3), 0.01, np.float32))
        command = ("profile", self.path, "--device", "cuda", "--runs", "3")
        found = json.loads(slipway.run(*command, "--json", env=env).stdout)
        self.assertEqual(found["compute_ms"], 1)
        self.assertEqual((found["graphs"], found["steps_on_cpu"], found["runs"]), (2, 1, 3))
        self.assertGreater(min(found["run_ms"], found["context_ms"], found["load_ms"]), 0)
        self.assertGreater(found["to_gpu_ms"] + found["from_gpu_ms"], 0)
        nodes = {node["node"]: node for node in found["nodes"]}
        self.assertTrue(nodes["the conv"]["kernel"].startswith("CONV_"))
        self.assertEqual(nodes["the conv"]["us"], 50)  # a chain of 20 takes a millisecond
        self.assertEqual(nodes["the conv"]["flops"], 2 * 8 * 16 * 8 * 9)
        self.assertEqual(nodes["the conv"]["bytes"], 2 * (2 * 8 * 16 + 8 * 8 * 9))
        self.assertEqual(nodes["the asinh"]["why"], "there is no GPU kernel for it")
        text = slipway.run(*command, "--sort", env=env).stdout
        self.assertRegex(text, r"the asinh +Asinh +on the CPU +- +- +- +-  \(there is no GPU kernel for it\)")
        self.assertRegex(text, r"a run [\d.]+ ms \(median of 3\): [\d.]+ to the GPU, 1\.000 computing, [\d.]+ back")
        self.assertRegex(text, r"(?m)^loaded in [\d.]+ ms after [\d.]+ ms of opening the GPU; 0 kernels compiled$")
        command = ("inspect", self.path, "--device", "cuda")
        text = slipway.run(*command, env=env).stdout
        self.assertRegex(text, r"^\d+ kernels on 1 stream in 2 graphs; 1 step on the CPU\n")
        self.assertRegex(text, r"\nthe asinh +Asinh +on the CPU: there is no GPU kernel for it\n$")
        self.assertRegex(slipway.run(*command, "--layers", env=env).stdout, r"\nthe conv +FusedConv +CONV_")
        nodes = {n["node"]: n for n in json.loads(slipway.run(*command, "--json", env=env).stdout)["nodes"]}
        self.assertEqual(nodes["the asinh"]["why"], "there is no GPU kernel for it")
        self.assertIsNone(nodes["the conv"]["why"])
        command = ("profile", self.path, "--device", "cuda", "--runs", "3")
        self.assertIn("--trace is for the CPU", slipway.run(*command, "--trace", "t", env=env, expect=1).stderr)

    def test_sessions_use_the_times_of_builds(self):
        home = {"XDG_CACHE_HOME": str(self.folder / "home")}
        env = {**self.env, **home, "EMU_CUDA": "idle"}
        slipway.run("build", self.path, "-o", self.folder / "m.slip", "--device", "cuda", env=env)
        (path,) = (self.folder / "home/slipway").glob("timings-*.txt")
        path.write_bytes(path.read_bytes()[:-9])
        self.assertIn("timing cache", self.run_on("cuda", **home).stderr, "a damaged one is told of, so it was read")

    @anywhere
    def test_a_residual_is_enlarged_where_it_is_read(self):
        conv = lambda a, b: helper.make_node("Conv", [a, "w"], [b], kernel_shape=[3, 3], pads=[1, 1, 1, 1])  # noqa: E731
        nearest = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        half = np.random.default_rng(1).normal(0, 0.1, (8, 8, 3, 3)).astype(np.float32)
        for scale, kernels in ((2, 5), (3, 6)):  # three is no power of two
            factors = helper.make_tensor("s", T.FLOAT, [4], [1, 1, scale, scale])
            constant = helper.make_node("Constant", [], ["s"], value=factors)
            resize = lambda a, b: helper.make_node("Resize", [a, "", "s"], [b], **nearest)  # noqa: E731
            steps = [conv("x", "a"), resize("a", "b"), resize("x", "c"), conv("c", "d")]
            self.model(constant, *steps, helper.make_node("Add", ["d", "b"], ["y"]), half)
            self.run_on("cpu")
            want = self.result()
            self.run_on("cuda")
            self.assertLess(np.abs(self.result() - want).max(), 5e-3)
            found = json.loads(slipway.run("inspect", self.path, "--device", "cuda", "--json", env=self.env).stdout)
            self.assertEqual(found["kernels"], kernels)

    @anywhere
    def test_what_is_there_early_is_summed_up_early(self):
        random = np.random.default_rng(1)
        conv = lambda a, b, side=3: helper.make_node("Conv", [a, f"w{side}"], [b], pads=[side // 2] * 4)  # noqa: E731
        weights = [(f"w{k}", random.normal(0, 0.1, (8, 8, k, k)).astype(np.float32)) for k in (1, 3)]
        tensors = [helper.make_tensor(n, T.FLOAT, w.shape, w.ravel()) for n, w in weights]
        tensors.append(helper.make_tensor("s", T.FLOAT, [4], [1, 1, 2, 2]))
        small = helper.make_node("Conv", ["a", "w3"], ["b"], pads=[1] * 4, strides=[2, 2])
        nearest = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        resize = helper.make_node("Resize", ["d", "", "s"], ["e"], **nearest)
        steps = [conv("x", "a"), small, conv("b", "c"), conv("c", "d", 1), resize, conv("a", "f")]
        steps += [helper.make_node("Add", ["f", "e"], ["g"]), helper.make_node("Relu", ["g"], ["y"])]
        port = lambda name: helper.make_tensor_value_info(name, T.FLOAT, [1, 8, 4, 4])  # noqa: E731
        graph = helper.make_graph(steps, "g", [port("x")], [port("y")], tensors)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), self.path)
        self.run_on("cpu")
        want = self.result()
        self.run_on("cuda")
        self.assertLess(np.abs(self.result() - want).max(), 5e-3)
        found = json.loads(slipway.run("inspect", self.path, "--device", "cuda", "--json", env=self.env).stdout)
        self.assertEqual(found["streams"], 2, "the sums over the large map wait for nothing of the small one")
        self.assertNotIn("Resize", [node["operator"] for node in found["nodes"] if node["kernel"] == "kernels"])

    @anywhere
    def test_short_branches_run_beside_the_long_one(self):
        conv = lambda a, b: helper.make_node("Conv", [a, "w"], [b], kernel_shape=[3, 3], pads=[1, 1, 1, 1])  # noqa: E731
        half = np.random.default_rng(1).normal(0, 0.1, (8, 8, 3, 3)).astype(np.float32)
        branches = [conv(*ports) for ports in ("xa", "ab", "ac", "cd", "ef", "eg", "gh")]
        mul = lambda *ports: helper.make_node("Mul", ports[:2], [ports[2]])  # noqa: E731
        self.model(*branches[:4], mul("b", "d", "e"), *branches[4:], mul("f", "h", "y"), half)
        self.run_on("cpu")
        want = self.result()
        self.run_on("cuda")
        self.assertLess(np.abs(self.result() - want).max(), 5e-3)
        found = json.loads(slipway.run("inspect", self.path, "--device", "cuda", "--json", env=self.env).stdout)
        self.assertEqual(found["streams"], 2, "the second side branch takes the first one's stream")

    def test_edges_of_the_graph(self):
        half = np.full((8, 8, 3, 3), 0.5, np.float32)
        conv = lambda a, b: helper.make_node("Conv", [a, "w"], [b], kernel_shape=[3, 3], pads=[1, 1, 1, 1])  # noqa: E731
        branches = [conv(*ports) for ports in ("xa", "ab", "bc", "cd", "de", "af", "fg", "gh")]
        self.model(*branches, helper.make_node("Mul", ["e", "h"], ["y"]), half)
        for how, all_of_them in (("edges", True), ("edges cuda12.2", False), ("edges sm89", False)):
            shutil.rmtree(self.folder / "cache", ignore_errors=True)
            found = re.findall(r"(\d+) edges, (\d+) programmatic", self.run_on("cuda", EMU_CUDA=how).stderr)
            self.assertTrue(found)
            for edges, programmatic in found:
                self.assertEqual(edges == programmatic, all_of_them, how)

    @unittest.skipUnless(CUDA_H.exists() and shutil.which("cc"), "no cuda.h")
    def test_prototypes_are_those_of_cuda_h(self):
        text = """
            #include <cuda.h>
            #include <stddef.h>
            #include "backend/cuda/driver.h"
            #define SAME(a, b) _Static_assert(a == b, #a)
            SAME(sizeof(sw_cu_launch), sizeof(CUlaunchConfig));
            SAME(offsetof(sw_cu_launch, n_attributes), offsetof(CUlaunchConfig, numAttrs));
            SAME(offsetof(sw_cu_launch, stream), offsetof(CUlaunchConfig, hStream));
            SAME(sizeof(sw_cu_attribute), sizeof(CUlaunchAttribute));
            SAME(offsetof(sw_cu_attribute, value), offsetof(CUlaunchAttribute, value));
            SAME(SW_CU_NO_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
            SAME(SW_CU_NO_DEVICE, CUDA_ERROR_NO_DEVICE);
            SAME(SW_CU_NO_BINARY, CUDA_ERROR_NO_BINARY_FOR_GPU);
            SAME(SW_CU_MULTIPROCESSORS, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
            SAME(SW_CU_L2_BYTES, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
            SAME(SW_CU_SM_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
            SAME(SW_CU_SM_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
            SAME(SW_CU_SHARED_BYTES, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
            SAME(SW_CU_PROGRAMMATIC, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
            SAME(sizeof(sw_cu_edge), sizeof(CUgraphEdgeData));
            SAME(offsetof(sw_cu_edge, type), offsetof(CUgraphEdgeData, type));
            SAME(sizeof(sw_cu_node), sizeof(CUDA_KERNEL_NODE_PARAMS));
            SAME(offsetof(sw_cu_node, function), offsetof(CUDA_KERNEL_NODE_PARAMS, func));
            SAME(SW_CU_EDGE_PROGRAMMATIC, CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC);
            SAME(SW_CU_PORT_PROGRAMMATIC, CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC);
            SAME(SW_CU_CAPTURE_THREAD, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
            SAME(SW_CU_NON_BLOCKING, CU_STREAM_NON_BLOCKING);
            SAME(SW_CU_NO_TIMING, CU_EVENT_DISABLE_TIMING);
            #define sw_cu_launch CUlaunchConfig
            #define sw_cu_edge CUgraphEdgeData
            #define sw_cu_node CUDA_KERNEL_NODE_PARAMS
            #define CHECK(field, symbol, version, arguments) \\
                _Static_assert(__builtin_types_compatible_p(__typeof__(&symbol), unsigned(*) arguments), #symbol);
            SW_CU_LIST(CHECK)
            SW_CU_NEWER_LIST(CHECK)
        """
        command = ["cc", "-std=gnu17", "-fsyntax-only", "-x", "c", f"-I{CUDA_H.parent}", f"-I{slipway.ROOT}/src", "-"]
        process = subprocess.run(command, input=text, capture_output=True, text=True)
        self.assertEqual(process.returncode, 0, process.stderr)


@anywhere
class Pictures(Emulated):
    """Pictures in, boxes out, on the GPU: letterbox, table and suppression give bit for bit what the CPU gives."""

    SIDE, ANCHORS, CLASSES, POINTS, PROTOTYPES = 64, 252, 3, 2, 4

    def detector(self, layout="v8", **metadata):
        """A network whose table is noise that the first pixels of the letterboxed picture move; float32 all the way."""
        task = metadata.get("task")
        extra = {"pose": 3 * self.POINTS, "obb": 1, "segment": self.PROTOTYPES}.get(task, 0)
        values = (5 if layout == "v5" else 4) + self.CLASSES + extra
        noise = np.random.default_rng(5)
        table = np.zeros((1, values, self.ANCHORS), np.float32)
        table[0, :2] = noise.uniform(0, self.SIDE, (2, self.ANCHORS))
        table[0, 2:4] = noise.uniform(4, 40, (2, self.ANCHORS))
        table[0, 4:] = noise.uniform(-1, 0.5, (values - 4, self.ANCHORS))
        table[0, 4:, 7] = table[0, 4:, 3]  # equal scores: the order of anchors decides
        count = values * self.ANCHORS
        table = table if layout == "v8" else np.ascontiguousarray(table.transpose(0, 2, 1))
        ints = lambda name, v: helper.make_tensor(name, T.INT64, [len(v)], v)  # noqa: E731
        graph = helper.make_graph(
            [
                helper.make_node("Reshape", ["images", "flat"], ["a"]),
                helper.make_node("Slice", ["a", "from", "to", "axis"], ["b"]),
                helper.make_node("Reshape", ["b", "shape"], ["c"]),
                helper.make_node("Add", ["c", "table"], ["output0"]),
            ],
            "g",
            [helper.make_tensor_value_info("images", T.FLOAT, [1, 3, self.SIDE, self.SIDE])],
            [helper.make_tensor_value_info("output0", T.FLOAT, list(table.shape))],
            [
                *(ints("flat", [1, -1]), ints("from", [1000]), ints("to", [1000 + count]), ints("axis", [1])),
                *(ints("shape", table.shape), helper.make_tensor("table", T.FLOAT, table.shape, table.ravel())),
            ],
        )
        if task == "segment":
            side = self.SIDE // 4
            graph.initializer.append(ints("pshape", [1, self.PROTOTYPES, side, side]))
            graph.initializer.append(ints("pto", [1000 + self.PROTOTYPES * side * side]))
            graph.node.append(helper.make_node("Slice", ["a", "from", "pto", "axis"], ["d"]))
            graph.node.append(helper.make_node("Reshape", ["d", "pshape"], ["output1"]))
            graph.output.append(helper.make_tensor_value_info("output1", T.FLOAT, [1, self.PROTOTYPES, side, side]))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        names = str({i: f"c{i}" for i in range(self.CLASSES)})
        helper.set_model_props(model, {"names": names, "stride": "32", "task": "detect"} | metadata)
        self.path = self.folder / "detector.onnx"
        onnx.save(model, self.path)

    def pictures(self, sizes):
        folder = self.folder / "pictures"
        folder.mkdir(exist_ok=True)
        noise = np.random.default_rng(3)
        for height, width in sizes:
            rows = b"".join(b"\0" + noise.bytes(3 * width) for _ in range(height))
            data = b"\x89PNG\r\n\x1a\n"
            header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
            for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
                data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            (folder / f"{height}x{width}.png").write_bytes(data)
        return folder

    def compare(self, *options, sizes=((37, 91),), fused=True, last="NMS"):
        found = {}
        for device in ("cpu", "cuda"):
            words = ("predict", self.path, self.pictures(sizes), "--json", "-", "--device", device, *options)
            results = json.loads(slipway.run(*words, env=self.env).stdout)
            self.assertEqual(len(results), len(sizes))
            found[device] = [{k: v for k, v in picture.items() if "ms" not in k and k != "speed"} for picture in results]
        self.assertEqual(found["cuda"], found["cpu"])
        self.assertEqual(last in self.compiled(), fused)
        return found["cpu"]

    def test_pictures_of_all_sizes(self):
        self.detector()
        found = self.compare("--conf", "0.4", sizes=((64, 64), (128, 128), (200, 150), (5, 3), (1, 64)))
        self.assertTrue(all(str(picture).count("confidence") > 3 for picture in found))

    def test_profile_times_a_picture(self):
        self.detector()
        words = ("profile", self.path, "--picture", self.pictures([(9, 9)]) / "9x9.png", "--runs", "2")
        found = json.loads(slipway.run(*words, "--device", "cuda", "--json", env=self.env).stdout)["picture"]
        self.assertEqual((found["width"], found["height"]), (9, 9))
        self.assertGreater(found["boxes"], 0)
        self.assertGreaterEqual(found["p99_ms"], found["median_ms"])
        self.assertIn("--picture is for GPUs", slipway.run(*words, expect=1).stderr)

    def test_options(self):
        self.detector()
        self.assertNotEqual(
            self.compare("--conf", "0.3", "--max-det", "3", "--classes", "1,2", "--iou", "0.2"),
            self.compare("--conf", "0.3", "--max-det", "5", "--agnostic"),
        )

    def test_objectness(self):
        self.detector("v5")
        self.compare("--conf", "0.1")

    def test_keypoints(self):
        self.detector(task="pose", kpt_shape=f"[{self.POINTS}, 3]")
        self.compare("--conf", "0.4")

    def test_masks(self):
        self.detector(task="segment")
        found = self.compare("--conf", "0.4", sizes=((64, 64), (37, 91)))
        masks = [box["mask"]["counts"] for picture in found for box in picture["detections"]]
        self.assertGreater(max(map(len, masks)), 20, "some have an edge")

    def test_rotated(self):
        self.detector(task="obb")
        how = {"sizes": ((64, 64), (37, 91)), "last": "KEEP"}
        found = self.compare("--conf", "0.3", **how)
        self.assertTrue(all(str(picture).count("confidence") > 3 for picture in found))
        few = self.compare("--conf", "0.2", "--max-det", "4", "--classes", "0,2", "--iou", "0.1", **how)
        self.assertEqual([str(picture).count("confidence") for picture in few], [4, 4])
        self.compare("--conf", "0.3", "--agnostic", **how)

    def test_validation_takes_anchors_of_several_classes(self):
        self.detector()
        folder = self.pictures([(64, 64), (37, 91)])
        (folder.parent / "labels").mkdir()
        images = folder.rename(folder.parent / "images")
        for path in images.iterdir():
            (folder.parent / "labels" / f"{path.stem}.txt").write_text("0 0.5 0.5 0.4 0.4\n1 0.3 0.3 0.2 0.2\n")
        yaml = self.folder / "data.yaml"
        yaml.write_text(f"path: {self.folder}\nval: images\nnames: [c0, c1, c2]\n")
        found = {}
        for device in ("cpu", "cuda"):
            results = self.folder / f"{device}.json"
            words = ("val", self.path, "--data", yaml, "--device", device, "--save-json", results, "--conf", "0.05")
            slipway.run(*words, env=self.env)
            found[device] = json.loads(results.read_text())
        self.assertIn("CANDIDATES_ANY", self.compiled())
        boxes = [tuple(row["bbox"]) for row in found["cpu"]]
        self.assertGreater(len(boxes), len(set(boxes)), "some anchors should be of several classes")
        self.assertEqual(found["cuda"], found["cpu"])

    def test_with_steps_on_the_cpu_boxes_are_made_there(self):
        self.detector()
        model = onnx.load(self.path)
        model.graph.node[-1].output[0] = "d"
        model.graph.node.append(helper.make_node("IsInf", ["d"], ["e"]))
        model.graph.node.append(helper.make_node("Where", ["e", "table", "d"], ["output0"]))
        onnx.save(model, self.path)
        self.compare("--conf", "0.4", fused=False)


class Networks(unittest.TestCase):
    def check_model(self, name):
        """As on the CPU, within float16."""
        if not ON_GPU and (name not in EMULATED or not LIBRARY.exists()):
            self.skipTest("runs on a GPU only (make check-cuda)" if LIBRARY.exists() else "the emulator is not built")
        if name in RANKED:
            self.skipTest("its boxes are ranked")
        env = {} if ON_GPU else {"SLIPWAY_CUDA_DRIVER": str(LIBRARY), "SLIPWAY_NVRTC": str(LIBRARY)}
        model = zoo.fill(onnx.load(zoo.models()[name]))
        with tempfile.TemporaryDirectory() as folder:
            env["SLIPWAY_CACHE"] = os.environ.get("SLIPWAY_CACHE", folder)
            path = pathlib.Path(folder, f"{name}.onnx")
            onnx.save(model, path)
            want = slipway.run_model(path, zoo.inputs_of(model), folder)
            with unittest.mock.patch.dict(slipway.ENVIRONMENT, env):
                got = slipway.run_model(path, zoo.inputs_of(model), folder, "--device", "cuda")
        self.assertEqual(set(got), set(want))
        for output, array in want.items():
            error = zoo.worst_error(got[output], array, *zoo.cut_of(name, array))
            self.assertLess(error, 1e-2, output)


@anywhere
class Ranks(Emulated):
    def test_a_network_that_ranks_its_boxes_in_float32(self):
        model = zoo.fill(onnx.load(zoo.models()["yolo26n_64"]))
        path, plan = self.folder / "m.onnx", self.folder / "m.slip"
        onnx.save(model, path)
        words = ("-O", "0", "--timing-cache", "none", "--device", "cuda", "--precision", "fp32")
        slipway.run("build", path, "-o", plan, *words, env=self.env)
        want = slipway.run_model(path, zoo.inputs_of(model), self.folder)
        with unittest.mock.patch.dict(slipway.ENVIRONMENT, self.env):
            got = slipway.run_model(plan, zoo.inputs_of(model), self.folder, "--device", "cuda", "--no-fallback")
        for output, array in want.items():
            self.assertLess(zoo.worst_error(got[output], array, *zoo.cut_of("yolo26n_64", array)), 1e-4, output)


class Cuts(Emulated):
    def test_networks_that_rank_sample_or_recur_run_on_the_gpu_entirely(self):
        for name in ("crnn_32x96", "deeplabv3_mobilenet_64", *RANKED):
            with self.subTest(name):
                path = self.folder / f"{name}.onnx"
                onnx.save(zoo.fill(onnx.load(zoo.models()[name])), path)
                done = slipway.run("inspect", path, "--device", "cuda", "--json", env={**self.env, "EMU_CUDA": "idle"})
                found = json.loads(done.stdout)
                self.assertEqual((found["steps_on_cpu"], found["graphs"]), (0, 1))


for model_name in zoo.models() if ON_GPU else EMULATED:
    setattr(Networks, f"test_{model_name}", lambda self, name=model_name: self.check_model(name))
