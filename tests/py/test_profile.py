"""slipway profile and slipway report: sums that must hold, forms that others read, a page that is whole."""

import html.parser
import json
import pathlib
import re
import tempfile
import unittest

import slipway
from test_plan import small_model


class Page(html.parser.HTMLParser):
    """Checks that elements nest, and collects ids and what is loaded from elsewhere."""

    VOID = {"meta", "link", "br", "img", "input", "hr"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.outside, self.data, self.wrong = [], set(), [], "", []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        self.outside += [attributes[key] for key in ("src", "href") if attributes.get(key, "#")[0] != "#"]
        if tag not in self.VOID:
            self.open.append((tag, attributes.get("id")))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop()[0] != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == ("script", "data"):
            self.data += data


class Profile(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model = small_model(self.folder / "m.onnx", 1, 24, channels=32)

    def profile(self, *options, model=None):
        return json.loads(slipway.run("profile", model or self.model, "--json", "--runs", 5, *options).stdout)

    def test_auto_falls_back_and_says_so(self):
        words = ["profile", self.model, "--device", "auto", "--runs", 1]
        done = slipway.run(*words, env={"SLIPWAY_CUDA_DRIVER": "/nowhere"})
        self.assertIn("running on the CPU: there is no NVIDIA driver", done.stderr)
        self.assertIn("FusedConv", done.stdout)

    def test_sums_and_counts(self):
        p = self.profile("--threads", 1)
        self.assertEqual(p["machine"]["threads"], 1)
        self.assertAlmostEqual(sum(s["ms"] for s in p["steps"]), p["steps_ms"], delta=1e-3 * len(p["steps"]))
        self.assertAlmostEqual(sum(s["share"] for s in p["steps"]), 1, delta=1e-3)
        flops = [s["flops"] for s in p["steps"] if s["operator"] in ("Conv", "FusedConv")]
        self.assertEqual(flops, [2 * 32 * 24 * 24 * 27, 2 * 4 * 24 * 24 * 32])
        self.assertAlmostEqual(p["gflop"], sum(s["flops"] for s in p["steps"]) / 1e9, delta=1e-4)
        for s in p["steps"]:
            self.assertGreaterEqual(s["ms"], 0)
            self.assertLessEqual(s["flops_done"], s["flops"])
            if s["ms"] > 0 and s["floor_ms"]:
                self.assertAlmostEqual(s["share_of_floor"], s["floor_ms"] / s["ms"], delta=1e-3 + 0.01 * s["share_of_floor"])

    def test_winograd_does_less_than_it_says(self):
        plan = self.folder / "w.slip"
        model = small_model(self.folder / "wide.onnx", 1, 48, channels=64)
        slipway.run("build", model, "-o", plan, "-O", 0)
        for s in self.profile(model=plan)["steps"]:
            if (s["tactic"] or "").startswith("winograd-f43"):
                self.assertAlmostEqual(s["flops_done"], s["flops"] / 4, delta=1)

    def test_strips_are_told(self):
        model = small_model(self.folder / "large.onnx", 1, 512, channels=16)  # a map of 16 MiB between
        rows = [s["strip_rows"] for s in self.profile("--threads", 1, model=model)["steps"] if s["tactic"]]
        self.assertEqual(len(rows), 2)
        self.assertTrue(rows[0] and rows[0] == rows[1] and rows[0] < 512, rows)
        self.assertIn(f"run strip by strip, {rows[0]} rows at a time", slipway.run("profile", model, "--threads", 1).stdout)

    def test_table_and_trace(self):
        trace = self.folder / "trace.json"
        run = slipway.run("profile", self.model, "--sort", "--runs", 3, "--trace", trace)
        times = [float(m) for m in re.findall(r"^ *\d+  .*? (\d+\.\d{3}) +\d+\.\d ", run.stdout, re.M)]
        self.assertEqual(times, sorted(times, reverse=True))
        self.assertRegex(run.stdout, r"floor \d+\.\d+ ms, \d+ % of it reached: \d+ GFLOP/s")
        events = json.loads(trace.read_text())["traceEvents"]
        self.assertEqual(len(events), len(times))
        for a, b in zip(events, events[1:]):
            self.assertEqual(a["ph"], "X")
            self.assertGreaterEqual(b["ts"], a["ts"] + a["dur"] - 0.002)

    def test_open_dims_want_a_shape(self):
        model = small_model(self.folder / "open.onnx")
        error = slipway.run("profile", model, expect=1).stderr
        self.assertIn("the input 'x' has open dims; give its shape with --shapes", error)
        p = self.profile("--shapes", "x=2x3x16x20", model=model)
        self.assertEqual(p["steps"][-1]["output"], "2x4x16x20")
        slipway.run("profile", model, "--shapes", "z=1x3x8x8", expect=1)

    def test_report_is_one_whole_page(self):
        plan, out = self.folder / "a.slip", self.folder / "r.html"
        slipway.run("build", self.model, "-o", plan, "-O", 5, "--timing-cache", "none")
        slipway.run("report", plan, "-o", out, "--runs", 3, "--device", "cpu")
        page = Page()
        page.feed(out.read_text())
        self.assertEqual((page.wrong, page.open, page.outside), ([], [], []))
        parts = {"tiles", "time", "steps", "roofline", "roof", "graph", "dag", "tactics", "races", "memory", "map", "receipt"}
        self.assertEqual(parts - page.ids, set())
        self.assertNotRegex(out.read_text().replace("http://www.w3.org/2000/svg", ""), "https?://")
        data = json.loads(page.data)
        self.assertEqual(data["receipt"]["opt level"], "5")
        self.assertGreater(len([s for s in data["steps"] if s["rivals"]]), 0)
        self.check_memory(data["memory"])
        written = {v for s in data["steps"] for v in s["out"]}
        self.assertTrue(all(set(s["in"]) & written for s in data["steps"][1:]))

    def check_memory(self, memory):
        """Buffers alive at the same time do not overlap, and all lie in the block."""
        buffers = memory["buffers"]
        self.assertGreater(len(buffers), 1)
        for i, a in enumerate(buffers):
            self.assertLessEqual(a["offset"] + a["bytes"], memory["scratch_offset"])
            for b in buffers[:i]:
                together = a["first"] <= b["last"] and b["first"] <= a["last"]
                apart = a["offset"] + a["bytes"] <= b["offset"] or b["offset"] + b["bytes"] <= a["offset"]
                self.assertTrue(apart or not together, (a, b))

    def test_names_cannot_break_the_page(self):
        folder = self.folder / "<!--<script>"
        folder.mkdir()
        model, out = small_model(folder / "m.onnx", 1, 8), self.folder / "r.html"
        slipway.run("report", model, "-o", out, "--runs", 1)
        text = out.read_text()
        self.assertEqual(text.count("<!--"), 0)
        page = Page()
        page.feed(text)
        self.assertEqual((page.wrong, page.open), ([], []))
        self.assertIn("<!--<script>", json.loads(page.data)["model"])

    def test_refusals(self):
        error = slipway.run("report", self.model, "-o", self.model, expect=1).stderr
        self.assertIn("would overwrite", error)
        slipway.run("report", self.model, "-o", "/dev/full", "--runs", 1, expect=3)
        slipway.run("profile", self.folder / "none.onnx", expect=2)


if __name__ == "__main__":
    unittest.main()
