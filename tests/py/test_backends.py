"""Other runtimes in child processes: a library made here that crashes, hangs, is too old or talks nonsense is a sentence;
the real ones, where they are installed, give Slipway's numbers."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

import slipway

FAKE = """
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static const char *version(void) { return "1.2.3"; }
static const void *api(uint32_t wanted) { return NULL; }
static const struct { const void *(*api)(uint32_t); const char *(*version)(void); } base = {api, version};
const void *OrtGetApiBase(void) {
    const char *how = getenv("FAKE");
    if (how[0] == 'c') fputs("about to die\\n", stderr), kill(getpid(), SIGKILL);
    if (how[0] == 'e') exit(7);
    if (how[0] == 'h') for (;;) pause();
    if (how[0] == 'p') puts("a runtime may print"), fflush(stdout);
    if (how[0] == 'g') for (int fd = 10; fd < 14; fd++) if (write(fd, "0123456789abcdef", 16) < 0) continue;
    return &base;
}
"""


def environment(**more):
    """This environment's packages are those of the active one."""
    return {"VIRTUAL_ENV": sys.prefix, "SLIPWAY_PYTHON": "", **more}


def backends(env=None):
    rows = json.loads(slipway.run("backends", "--json", env=environment(**(env or {}))).stdout)
    return {row["name"]: row for row in rows}


class Fakes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.library = pathlib.Path(cls.folder.name, "libfake.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", cls.library], input=FAKE.encode(), check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_fake(self, how, **more):
        env = environment(SLIPWAY_ONNXRUNTIME=str(self.library), FAKE=how, **more)
        x = pathlib.Path(self.folder.name, "x.npy")
        np.save(x, np.zeros((1, 3, 320, 320), np.float32))
        done = slipway.run("run", slipway.SAMPLE_MODEL, "-i", x, "--backend", "onnxruntime", env=env, expect=None)
        self.assertEqual(done.stdout, "")
        return done.returncode, done.stderr

    def test_crash(self):
        code, text = self.run_fake("crash")
        self.assertEqual(code, 3)
        self.assertIn("ONNX Runtime crashed while loading the model (Killed); it said last: about to die", text)

    def test_exit(self):
        self.assertIn("process ended while loading the model (exit code 7)", self.run_fake("exit")[1])

    def test_hang(self):
        code, text = self.run_fake("hang", SLIPWAY_CHILD_SECONDS="0.3")
        self.assertEqual(code, 3)
        self.assertIn("did not answer within", text)

    def test_garbage(self):
        code, text = self.run_fake("garbage")
        self.assertEqual(code, 3)
        self.assertIn("answered nonsense", text)

    def test_old_version_and_prints(self):
        code, text = self.run_fake("prints")
        self.assertEqual(code, 2)
        self.assertIn("version 1.2.3 is too old: API 17 is wanted", text)

    def test_backends_tells_why_not(self):
        row = backends({"SLIPWAY_ONNXRUNTIME": str(self.library), "FAKE": "prints"})["onnxruntime"]
        self.assertFalse(row["available"])
        self.assertIn("too old", row["why_not"])
        row = backends({"SLIPWAY_OPENVINO": str(self.library)})["openvino"]
        self.assertIn("is no C library of OpenVINO", row["why_not"])
        row = backends({"SLIPWAY_OPENVINO": "/nowhere/lib.so"})["openvino"]
        self.assertIn("cannot be loaded", row["why_not"])

    def test_nothing_installed(self):
        with tempfile.TemporaryDirectory() as empty:
            pathlib.Path(empty, "bin").mkdir()
            pathlib.Path(empty, "bin/python").touch()
            pathlib.Path(empty, "pyvenv.cfg").touch()
            rows = backends({"VIRTUAL_ENV": empty})
        self.assertEqual(rows["torch"]["install"], "pip install torch ultralytics")
        self.assertIn("has no PyTorch", rows["torch"]["why_not"])
        self.assertTrue(rows["slipway"]["available"])

    def test_a_child_started_by_hand_ends_with_its_input(self):
        done = subprocess.run([slipway.PROGRAM, "child", "slipway"], input=b"nonsense", capture_output=True, timeout=20)
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        done = subprocess.run([slipway.PROGRAM, "child", "other"], input=b"", capture_output=True, timeout=20)
        self.assertEqual(done.returncode, 1)


class Doctor(unittest.TestCase):
    def test_lines(self):
        rows = json.loads(slipway.run("doctor", "--json", env=environment()).stdout)
        found = {row["what"]: row for row in rows}
        wanted = {"CPU", "CPU limit", "memory", "NVIDIA driver", "NVRTC", "cuDNN", "TensorRT", "OpenVINO"}
        self.assertLessEqual(wanted, set(found))
        self.assertTrue(all(row["verdict"] in ("ok", "note", "mend") for row in rows))
        self.assertTrue(all(row["mend"] for row in rows if row["verdict"] == "mend"))
        self.assertEqual(found["ONNX Runtime"]["verdict"], "ok")
        self.assertIn("to mend", slipway.run("doctor", env=environment()).stdout)

    def test_broken_runtime_and_twins(self):
        with tempfile.TemporaryDirectory() as empty:
            packages = pathlib.Path(empty, "lib/python3.11/site-packages")
            for name in ("bin/python", "pyvenv.cfg", "lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.2"):
                pathlib.Path(empty, name).parent.mkdir(parents=True, exist_ok=True)
                pathlib.Path(empty, name).touch()
            for name in ("onnxruntime-1.2.0.dist-info", "onnxruntime_gpu-1.1.0.dist-info"):
                (packages / name).mkdir()
            rows = json.loads(slipway.run("doctor", "--json", env=environment(VIRTUAL_ENV=empty)).stdout)
        found = {row["what"]: row for row in rows}
        self.assertEqual(found["ONNX Runtime"]["verdict"], "mend")
        self.assertIn("cannot be loaded", found["ONNX Runtime"]["fits"])
        self.assertIn("pip uninstall -y onnxruntime onnxruntime-gpu", found["onnxruntime twice"]["mend"])


class Usage(unittest.TestCase):
    def test_names_and_settings(self):
        cases = {
            ("--backend", "onnxruntim"): "there is no backend 'onnxruntim'; did you mean onnxruntime",
            ("--backend", "onnxruntime", "--set", "providers=CPU"): "--set wants BACKEND.KEY=VALUE",
            ("--backend", "onnxruntime", "--set", "ort.providers=CPU"): "there is no backend 'ort'",
        }
        for words, text in cases.items():
            done = slipway.run("run", slipway.SAMPLE_MODEL, *words, expect=1)
            self.assertIn(text, done.stderr)


class Real(unittest.TestCase):
    def outputs(self, backend, *options):
        row = backends()[backend]
        if not row["available"]:
            self.skipTest(f"no {backend}: {row['why_not']}")
        x = np.random.default_rng(1).random((1, 3, 320, 320), dtype=np.float32)
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/x.npy", x)
            got = []
            for more in (["--backend", backend, *options], []):
                out = f"{folder}/{len(got)}"
                slipway.run("run", slipway.SAMPLE_MODEL, "-i", f"{folder}/x.npy", "-o", out, *more, env=environment())
                got.append({path.stem: np.load(path) for path in pathlib.Path(out).iterdir()})
        return got

    def test_same_numbers(self):
        for backend in ("onnxruntime", "openvino"):
            with self.subTest(backend):
                theirs, ours = self.outputs(backend)
                self.assertEqual(theirs.keys(), ours.keys())
                for name, array in theirs.items():
                    self.assertLess(np.abs(array - ours[name]).max(), 1e-4 * np.abs(ours[name]).max())

    def test_refusals_are_the_runtimes_own(self):
        self.outputs("onnxruntime", "--set", "onnxruntime.providers=CUDA,CPU")  # falls back
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/x.npy", np.zeros((1, 3, 8, 8), np.float32))
            words = ["run", slipway.SAMPLE_MODEL, "-i", f"{folder}/x.npy", "--backend", "onnxruntime"]
            done = slipway.run(*words, env=environment(), expect=2)
            self.assertIn("onnxruntime: the run failed: ", done.stderr)
            model = pathlib.Path(folder, "x.onnx")
            model.write_bytes(b"no model")
            done = slipway.run("run", model, *words[2:], env=environment(), expect=2)
            self.assertIn("the model was refused", done.stderr)


if __name__ == "__main__":
    unittest.main()
