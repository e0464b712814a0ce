"""The tuner from outside: timing caches that are shared, damaged, foreign; levels; equal caches give equal plans."""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest
import zlib

import numpy as np

import slipway
from test_plan import small_model


class Tune(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model = small_model(self.folder / "m.onnx", 1, 24, channels=32)
        self.cache = self.folder / "times.txt"

    def build(self, *options, name="a.slip", model=None, **more):
        plan = self.folder / name
        options = (*options, "--timing-cache", self.cache) if "--timing-cache" not in options else options
        process = slipway.run("build", model or self.model, "-o", plan, *options, **more)
        return plan.read_bytes(), process.stderr

    def write_cache(self, text):
        """With the last line that it must have."""
        lines = re.sub(r"end \d+ \w+\n$", "", text)
        count = sum("\t" in line for line in lines.splitlines())
        self.cache.write_text(f"{lines}end {count} {zlib.crc32(lines.encode()):08x}\n")

    def test_equal_caches_give_equal_plans(self):
        first, messages = self.build()
        self.assertEqual(messages, "")
        times = self.cache.read_text()
        self.assertIn("conv float32 1x3x24x24 to float32 32x24x24 kernel 3x3", times)
        again, _ = self.build(name="b.slip")
        self.assertEqual(again, first)
        self.assertEqual(self.cache.read_text(), times)

    def test_a_tuned_plan_computes_what_the_model_does(self):
        self.build("-O", 5, "--threads", 2)
        x = np.random.default_rng(3).standard_normal((1, 3, 24, 24)).astype(np.float32)
        want = slipway.run_model(self.model, {"x": x}, self.folder)["y"]
        got = slipway.run_model(self.folder / "a.slip", {"x": x}, self.folder)["y"]
        np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())

    def test_strips_are_timed_against_whole_maps(self):
        model = small_model(self.folder / "large.onnx", 1, 300, channels=32)  # a map of 11 MB between
        first, _ = self.build("-O", 1, "--threads", 1, model=model)
        self.assertRegex(self.cache.read_text(), r"network [0-9a-f]{8} strips\twhole maps\t\d+ \d+\n")
        maps = json.loads(slipway.run("inspect", self.folder / "a.slip", "--json").stdout)["receipt"]["maps"]
        self.assertRegex(maps, r"^(strips|whole): strips [\d.]+ ms, whole [\d.]+ ms$")
        for whole in (False, True):  # as the cache says
            times = {"strips": "9000000 9000000" if whole else "1 1", "whole maps": "1 1" if whole else "9000000 9000000"}
            text = self.cache.read_text()
            self.write_cache(re.sub(r"( strips\t(strips|whole maps)\t).*", lambda m: m[1] + times[m[2]], text))
            self.build("-O", 1, "--threads", 1, model=model)
            steps = json.loads(slipway.run("profile", self.folder / "a.slip", "--json", "--threads", 1).stdout)["steps"]
            rows = [s["strip_rows"] for s in steps if s["tactic"]]
            self.assertEqual([row is None for row in rows], [whole, whole])

    def test_two_builds_on_one_cache_lose_nothing(self):
        other = small_model(self.folder / "n.onnx", 1, 16, channels=16)
        commands = [
            [slipway.PROGRAM, "build", model, "-o", self.folder / f"{i}.slip", "--timing-cache", self.cache]
            for i, model in enumerate((self.model, other, self.model, other))
        ]
        running = [
            subprocess.Popen(list(map(str, c)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for c in commands
        ]
        for process in running:
            self.assertEqual((process.communicate(timeout=60)[1], process.returncode), (b"", 0))
        before = self.cache.read_bytes()
        for i, model in enumerate((self.model, other)):
            self.build(name=f"w{i}.slip", model=model)
        self.assertEqual(self.cache.read_bytes(), before)  # all that both need is there
        self.assertEqual(sorted(p.name for p in self.folder.glob(".*")), [])

    def test_a_cache_of_another_machine_says_nothing_but_stays(self):
        self.build()
        self.write_cache(re.sub(r"(?m)^device .*", "device Another 1.2.3", self.cache.read_text()))
        _, messages = self.build()
        self.assertEqual(messages, "")
        devices = re.findall(r"(?m)^device (.*)", self.cache.read_text())
        self.assertEqual(len(devices), 2)
        self.assertIn("Another 1.2.3", devices)

    def test_damaged_caches_are_replaced_with_a_warning(self):
        self.build()
        good = self.cache.read_bytes()
        for bad in (good[:-20], good[: len(good) // 2], good.replace(b"kernel 3x3", b"kernel 3x9"), good + b"x"):
            self.cache.write_bytes(bad)
            _, messages = self.build()
            self.assertEqual(messages.count("warning"), 1, messages)
            self.assertIn("the timing cache is damaged and not used; it will be replaced", messages)
            _, messages = self.build()
            self.assertEqual(messages, "")

    def test_other_files_are_left_alone(self):
        self.cache.write_bytes(b"my thesis")
        _, messages = self.build()
        self.assertIn("is no timing cache; it is neither used nor changed", messages)
        self.assertEqual(messages.count("\n"), 1)
        self.assertEqual(self.cache.read_bytes(), b"my thesis")

    def test_a_cache_that_cannot_be_written_does_not_stop_a_build(self):
        _, messages = self.build("--timing-cache", "/proc/nothing/times.txt")
        self.assertIn("/proc/nothing", messages)
        self.assertIn("not kept", messages)

    def test_level_0_times_nothing(self):
        self.build("-O", 0)
        self.assertFalse(self.cache.exists())
        slipway.run("build", self.model, "-O", 6, expect=1)

    def test_none_keeps_nothing_and_the_default_is_in_the_users_cache(self):
        self.build("--timing-cache", "none")
        plan = self.folder / "d.slip"
        slipway.run("build", self.model, "-o", plan, env={"XDG_CACHE_HOME": str(self.folder / "cache")})
        self.assertEqual(len(list((self.folder / "cache/slipway").glob("timings-*.txt"))), 1)

    def test_weights_do_not_grow_beyond_the_limit(self):
        model = small_model(self.folder / "wide.onnx", 1, 32, channels=64)
        small, _ = self.build("-O", 0, "--max-weight-growth", 1.5, model=model, name="small.slip")
        raw = 4 * (64 * 3 * 9 + 64 * 4)
        self.assertLess(len(small), 1.5 * raw + 16384)
        self.build("-O", 5, "--max-weight-growth", 1.5, model=model)

    def test_open_dims_are_said_and_not_timed(self):
        model = small_model(self.folder / "open.onnx")
        _, messages = self.build(model=model)
        self.assertIn("kernels are chosen by estimate", messages)
        self.build("--shapes", "1:2:4x3x16x16", model=model)
        self.assertIn("conv float32 2x3x16x16", self.cache.read_text())

    def test_open_pictures_are_timed_at_the_size_of_the_metadata(self):
        _, messages = self.build("-O", 1, model=slipway.SAMPLE_MODEL)
        self.assertEqual(messages, "")
        self.assertIn("conv float32 1x3x416x416", self.cache.read_text())

    def test_inspect_shows_winners_losers_and_refusals(self):
        self.build("-O", 5)
        plan = self.folder / "a.slip"
        text = slipway.run("inspect", plan, "--tactics").stdout
        self.assertRegex(text, r"plain +\d+\.\d us")
        self.assertRegex(text, r"depthwise-\w+ +not timed: ")
        receipt = json.loads(slipway.run("inspect", plan, "--json").stdout)["receipt"]
        self.assertEqual(receipt["opt level"], "5")
        self.assertIn("threads", receipt["tuned on"])
        self.assertGreater(float(re.fullmatch(r"([\d.]+) ms", receipt["latency"])[1]), 0)

    def test_what_the_estimate_takes_is_among_what_is_timed(self):
        self.build("-O", 0, "--precision", "bf16", name="estimated.slip")
        steps = json.loads(slipway.run("inspect", self.folder / "estimated.slip", "--json").stdout)["steps"]
        self.build("--precision", "bf16")
        text = slipway.run("inspect", self.folder / "a.slip", "--tactics").stdout
        taken = {step["tactic"] for step in steps} - {None}
        self.assertTrue(taken)
        for tactic in taken:
            self.assertRegex(text, rf"{tactic} +\d+\.\d us")


if __name__ == "__main__":
    unittest.main()
