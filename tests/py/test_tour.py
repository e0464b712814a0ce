"""`slipway tour`: every command is printed before it runs, every step has numbers or a reason, and the files say the same."""

import json
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import slipway
from test_export import small_model


class Tour(unittest.TestCase):
    def test_steps_and_files(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            small_model(folder / "m.onnx")
            env = {"VIRTUAL_ENV": sys.prefix, "SLIPWAY_PYTHON": "", "TMPDIR": name}
            done = slipway.run("tour", folder / "m.onnx", "-o", folder / "out", "--seconds", "0.1", "--threads", "1", env=env)
            out = {path.name: path.read_text() for path in (folder / "out").glob("tour.*")}
            self.assertEqual(sorted(out), ["tour.json", "tour.md", "tour.svg", "tour.txt"])
            self.assertTrue((folder / "out/m.onnx").exists() and (folder / "out/m.slip").exists())
        steps = json.loads(out["tour.json"])["steps"]
        names = ["PyTorch", "ONNX + ONNX Runtime", "Slipway, tuned plan", "Slipway, bfloat16", "served over HTTP"]
        self.assertEqual([step["step"] for step in steps], names)
        self.assertIn("takes the checkpoint", steps[0]["skipped"])
        for step in steps[1:3]:
            self.assertIsNone(step["skipped"])
            self.assertGreater(step["fps"], 0)
            self.assertGreater(step["latency_ms"], 0)
            self.assertGreater(step["bytes"], 0)
            self.assertIsNone(step["map"])
        self.assertTrue(all(step["skipped"] or step["fps"] > 0 for step in steps))
        self.assertIsNone(steps[4]["skipped"])
        for command in ("export", "bench", "build", "serve"):
            self.assertIn(f"$ slipway {command} ", done.stdout)
        self.assertLess(done.stdout.index("$ slipway export"), done.stdout.index("$ slipway build"))
        self.assertIn(out["tour.txt"], done.stdout)
        self.assertEqual(out["tour.md"].count("\n| "), 6)
        xml.etree.ElementTree.fromstring(out["tour.svg"])

    def test_without_anything_installed(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            small_model(folder / "m.onnx")
            env = {"VIRTUAL_ENV": "", "SLIPWAY_PYTHON": "", "PATH": "/nowhere", "SLIPWAY_CPU_MASK": "avx2", "TMPDIR": name}
            slipway.run("tour", folder / "m.onnx", "-o", folder / "out", "--seconds", "0.1", "--threads", "1", env=env)
            steps = json.loads((folder / "out/tour.json").read_text())["steps"]
        self.assertIn("no backend could run it; the last: is not available", steps[1]["skipped"])
        self.assertIsNone(steps[2]["skipped"])
        self.assertIn("AVX512-BF16", steps[3]["skipped"])

    def test_wrong_use(self):
        self.assertIn("cannot be opened", slipway.run("tour", "nowhere.pt", expect=3).stderr)
        with tempfile.TemporaryDirectory() as name:
            small_model(pathlib.Path(name, "m.onnx"))
            done = slipway.run("tour", pathlib.Path(name, "m.onnx"), "-o", name, expect=1)
            self.assertIn("the model itself lies there", done.stderr)


if __name__ == "__main__":
    unittest.main()
