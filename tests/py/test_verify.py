"""`slipway export` compares what it wrote with the model before the file gets its name: in the runtime that the format is
for, or read back. A runtime that gives other numbers, or crashes, leaves no file."""

import json
import os
import pathlib
import sys
import tempfile
import textwrap
import unittest

import numpy as np

import slipway
from test_export import small_model

# A LiteRT that does as FAKE says.
INTERPRETER = """
import os, signal
import numpy as np

class Interpreter:
    def __init__(self, path, num_threads=None):
        if os.environ["FAKE"] == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ["FAKE"] == "refuse":
            raise ValueError("no such operator")
    def allocate_tensors(self): pass
    def get_input_details(self):
        return [{"name": "images", "index": 0, "dtype": np.float32, "shape": np.array([1, 64, 64, 3])}]
    def get_output_details(self):
        return [{"name": "output0", "index": 1, "dtype": np.float32, "shape": np.array([1, 1, 1, 3])}]
    def set_tensor(self, index, value): assert value.shape == (1, 64, 64, 3), value.shape
    def invoke(self): pass
    def get_tensor(self, index):
        value = {"wrong": 9, "nan": np.nan}.get(os.environ["FAKE"], 0)
        return np.full((1, 1, 1, 3) if os.environ["FAKE"] != "shape" else (1, 3), value, np.float32)
"""


def fake_environment(folder, package="ai_edge_litert", file="interpreter.py", text=INTERPRETER):
    """A Python environment with a fake of a runtime (LiteRT) and the NumPy of this one."""
    packages = folder / f"lib/python3.{sys.version_info.minor}/site-packages"
    (packages / package).mkdir(parents=True)
    (packages / package / "__init__.py").touch()
    (packages / package / file).write_text(textwrap.dedent(text))
    (packages / f"{package}-9.9.dist-info").mkdir()
    (packages / f"{package}-9.9.dist-info/METADATA").write_text(f"Name: {package}\nVersion: 9.9\n")
    (packages / "more.pth").write_text(str(pathlib.Path(np.__file__).parents[1]) + "\n")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(os.path.realpath(sys.executable))
    (folder / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
    return {"VIRTUAL_ENV": str(folder), "SLIPWAY_PYTHON": ""}


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.fake = fake_environment(cls.folder / "venv")
        small_model(cls.folder / "m.onnx", dims=(1, 3, 64, 64))

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def check_refused(self, how, sentence, expect):
        out = self.folder / f"{how}.tflite"
        words = ["export", self.folder / "m.onnx", "--to", "tflite", "-o", out]
        done = slipway.run(*words, env={**self.fake, "FAKE": how}, expect=expect)
        self.assertIn(sentence, done.stderr)
        self.assertFalse(out.exists())
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith(".")], [])

    def test_other_numbers(self):
        self.check_refused("wrong", "in LiteRT 9.9 the output 'output0' is off by", 2)

    def test_no_numbers(self):
        self.check_refused("nan", "3 values of the output 'output0' are infinite or no numbers", 2)

    def test_another_shape(self):
        self.check_refused("shape", "the output 'output0' has another shape", 2)

    def test_crash(self):
        self.check_refused("crash", "LiteRT crashed while loading the model (Killed)", 3)

    def test_refusal(self):
        self.check_refused("refuse", "litert: ValueError: no such operator", 2)

    def test_without_verification(self):
        out = self.folder / "free.tflite"
        env = {**self.fake, "FAKE": "wrong"}
        words = ["export", self.folder / "m.onnx", "--to", "tflite", "-o", out]
        done = slipway.run(*words, "--no-verify", "--json", env=env)
        self.assertNotIn("verify", json.loads(done.stdout)[0])
        self.assertTrue(out.exists())
        slipway.run(*words, "--tolerance", "1", "--force", env=env, expect=2)
        self.assertTrue(out.exists())  # what was there before stays

    def export(self, *arguments, env):
        arguments = [self.folder / "m.onnx", "-o", f"{self.folder}/out/", "--force", "--json", *arguments]
        return json.loads(slipway.run("export", *arguments, env=env).stdout)

    def test_read_back_where_no_runtime_is(self):
        with tempfile.TemporaryDirectory() as empty:
            pathlib.Path(empty, "bin").mkdir()
            pathlib.Path(empty, "bin/python").touch()
            pathlib.Path(empty, "pyvenv.cfg").touch()
            rows = self.export("--to", "onnx,openvino,tflite", env={"VIRTUAL_ENV": empty, "SLIPWAY_PYTHON": ""})
        for row in rows:
            with self.subTest(row["format"]):
                self.assertTrue(row["verify"]["runtime"].startswith("Slipway"))
                self.assertIn("is not available (pip install", row["verify"]["instead"])
                self.assertLess(row["verify"]["outputs"][0]["max_error"], 1e-5)

    def test_in_onnx_runtime(self):
        [row] = self.export(env={"VIRTUAL_ENV": sys.prefix, "SLIPWAY_PYTHON": ""})
        self.assertTrue(row["verify"]["runtime"].startswith("ONNX Runtime"), row)
        self.assertIsNone(row["verify"]["instead"])
        self.assertEqual(row["verify"]["tolerance"], 1e-3)
        self.assertLess(row["verify"]["outputs"][0]["max_error"], 1e-5)
        self.assertGreater(row["verify"]["outputs"][0]["cosine"], 0.999999)

    def test_map_of_both(self):
        data, out = slipway.data("coco/val"), self.folder / "person.onnx"
        words = [f"model={slipway.SAMPLE_MODEL}", "format=onnx", f"data={data}", "--limit", "4", "-o", out, "--json"]
        [row] = json.loads(slipway.run("export", *words, env={"VIRTUAL_ENV": sys.prefix, "SLIPWAY_PYTHON": ""}).stdout)
        self.assertGreater(row["map_model"], 0.05)
        self.assertAlmostEqual(row["map_model"], row["map_file"], delta=0.02)
        done = slipway.run("export", slipway.SAMPLE_MODEL, "-o", self.folder / "n.onnx", "--data", "nowhere", expect=3)
        self.assertIn("nowhere: mAP could not be measured: nowhere", done.stderr)
        for words in (["--data", "x", "--no-verify"], ["--verify", "--no-verify"]):
            self.assertIn("contradict", slipway.run("export", slipway.SAMPLE_MODEL, *words, expect=1).stderr)


if __name__ == "__main__":
    unittest.main()
