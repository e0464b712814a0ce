"""Rules of routing over HTTP and gRPC, set by file and live; traffic that is copied to another model."""

import concurrent.futures
import contextlib
import http.client
import json
import re
import signal
import socket
import time
import unittest

import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper, save

import serving
import slipway
from test_serve_models import scale_model
from test_serve_pictures import Served, grey_detector, picture

RULES = {
    "rules": [
        {"name": "tenant", "when": {"header": {"X-Tenant": "acme*"}}, "to": {"model": "ten"}},
        {"name": "quality", "when": {"parameter": {"quality": "high"}}, "to": {"model": "versions", "version": 1}},
        {"name": "raw", "when": {"content_type": "application/octet-stream"}, "to": {"model": "hundred"}},
        {"name": "large", "when": {"path": "*/detect", "pixels": {"min": 10000}}, "to": {"model": "large"}},
        {"name": "small", "when": {"path": "*/detect"}, "to": {"model": "small"}},
        {"name": "split", "when": {"parameter": {"split": "*"}},
         "to": [{"model": "ten", "weight": 3}, {"model": "hundred", "weight": 1}]},
        {"name": "rest", "to": {"model": "versions"}},
    ]
}


class Routed(Served):
    def put(self, document, status=200, headers=None):
        got, _, answer = self.server.get("/v2/routes", json.dumps(document).encode(), headers, method="PUT")
        self.assertEqual(got, status, answer)
        return json.loads(answer)

    def metric(self, name, **labels):
        text = self.server.get("/metrics", port=self.server.metrics)[2].decode()
        wanted = ",".join('%s="%s"' % pair for pair in labels.items())
        found = re.search(r"^%s\{%s\} (\S+)$" % (name, re.escape(wanted)), text, re.MULTILINE)
        return float(found[1]) if found else None

    def infer(self, headers=None, parameters=None, model="@route"):
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
        if parameters:
            body["parameters"] = parameters
        status, _, answer = self.server.get(f"/v2/models/{model}/infer", json.dumps(body).encode(), headers)
        answer = json.loads(answer)
        return (answer["model_name"], answer["model_version"]) if status == 200 else (status, answer["error"])


def boxes_model(path, shift, classes):
    """Passes boxes and classes on, moved to the right and changed by these numbers."""
    path.parent.mkdir(parents=True)
    n, shifts = len(shift), np.zeros((len(shift), 4), np.float32)
    shifts[:, ::2] = np.float32(shift)[:, None]
    ports = [("b", T.FLOAT, [n, 4]), ("c", T.INT32, [n])], [("BOXES", T.FLOAT, [n, 4]), ("CLASSES", T.INT32, [n])]
    graph = helper.make_graph(
        [helper.make_node("Add", ["b", "shift"], ["BOXES"]), helper.make_node("Add", ["c", "change"], ["CLASSES"])],
        "boxes",
        *([helper.make_tensor_value_info(*port) for port in side] for side in ports),
        [numpy_helper.from_array(shifts, "shift"), numpy_helper.from_array(np.int32(classes), "change")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


class Rules(Routed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, factor in (("ten", 10), ("hundred", 100)):
            scale_model(cls.root / name / "1/model.onnx", factor)
        for version in (1, 2):
            scale_model(cls.root / f"versions/{version}/model.onnx", version)
        (cls.root / "versions/config.pbtxt").write_text("version_policy { all { } }")
        for name in ("large", "small"):
            grey_detector(cls.root / name / "1/model.onnx", names="{0: '%s'}" % name)
        cls.file = cls.root.parent / (cls.root.name + ".json")
        cls.file.write_text(json.dumps(RULES))
        cls.addClassCleanup(cls.file.unlink)
        cls.serve("--routes", cls.file)

    def setUp(self):
        self.put(RULES)

    def test_http(self):
        self.assertEqual(self.infer(), ("versions", "2"))
        self.assertEqual(self.infer({"x-tenant": "acme-7"}), ("ten", "1"))
        self.assertEqual(self.infer({"x-tenant": "other"}), ("versions", "2"))
        self.assertEqual(self.infer(parameters={"quality": "high"}), ("versions", "1"))
        self.assertEqual(self.infer({"Content-Type": "application/octet-stream"}), ("hundred", "1"))
        chosen = [self.infer(parameters={"split": "yes"})[0] for _ in range(40)]
        self.assertAlmostEqual(chosen.count("ten"), 30, delta=2)
        headers = {"slipway-sticky": "anna"}
        self.assertEqual(len({self.infer(headers, {"split": "yes"}) for _ in range(10)}), 1)

    def test_pictures(self):
        for sides, name in (((64, 64), "small"), ((100, 100), "large"), ((20, 600), "large")):
            status, _, answer = self.server.get("/v2/models/@route/detect", picture(255, *sides))
            self.assertEqual((status, json.loads(answer)["detections"][0]["class"]), (200, name))
        self.assertEqual(self.server.get("/v2/models/%40route/detect", picture(255))[0], 200)

    def test_grpc(self):
        import tritonclient.grpc as client

        x = client.InferInput("x", [1, 2], "FP32")
        x.set_data_from_numpy(np.float32([[1, 2]]))
        with client.InferenceServerClient(self.server.grpc_url) as triton:
            for headers, parameters, expected in (
                (None, None, "versions 2"),
                ({"x-tenant": "acme"}, None, "ten 1"),
                (None, {"quality": "high"}, "versions 1"),
            ):
                answer = triton.infer("@route", [x], headers=headers, parameters=parameters).get_response()
                self.assertEqual(f"{answer.model_name} {answer.model_version}", expected)
            headers, parameters = {"slipway-sticky": "anna"}, {"split": "1"}
            for _ in range(8):
                answer = triton.infer("@route", [x], headers=headers, parameters=parameters).get_response()
                self.assertEqual(answer.model_name, self.infer(headers, parameters)[0])

    def test_live(self):
        self.assertEqual(json.loads(self.server.get("/v2/routes")[2]), RULES)
        self.assertEqual(self.put({"rules": [{"to": {"model": "ten"}}]})["rules"], [{"to": {"model": "ten"}}])
        self.assertEqual(self.infer(), ("ten", "1"))
        wrong = {"rules": [{"to": {"model": "hundred"}}, {"name": "late", "when": {"hour": "12"}, "to": {"model": "ten"}}]}
        self.assertRegex(self.put(wrong, 400)["error"], r'rule 2 \("late"\).*"hour" is no condition; there are path')
        self.assertEqual(self.infer(), ("ten", "1"))
        self.put({"rules": [{"when": {"header": {"a": "b"}}, "to": {"model": "ten"}}]})
        self.assertEqual(self.infer()[0], 404)
        self.put({})
        self.assertIn("no rules of routing", self.infer()[1])
        self.put({"rules": [{"to": {"model": "nobody"}}]})
        self.assertIn("'nobody' is not found", self.infer()[1])
        self.server.process.send_signal(signal.SIGHUP)  # reads the file again
        deadline = time.monotonic() + serving.STARTS_IN_S
        while self.infer() != ("versions", "2"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_documented_example(self):
        text = (slipway.ROOT / "docs/routing.md").read_text()
        self.put(json.loads(text[text.index('    {\n      "rules"') : text.index("\n\nThe file is read")]))

    def test_damaged_documents(self):
        text, random = json.dumps(RULES).encode(), np.random.default_rng(1)
        for _ in range(300):
            damaged = bytearray(text)
            for at in random.integers(0, len(text), 3):
                damaged[at] = random.integers(0, 256)
            damaged = bytes(damaged[: random.integers(1, len(text))] if random.integers(3) == 0 else damaged)
            status, _, answer = self.server.get("/v2/routes", damaged, method="PUT")
            self.assertIn(status, (200, 400))
            if status == 400:
                self.assertRegex(json.loads(answer)["error"], "line [0-9]+")
        self.put(RULES)
        self.assertEqual(self.infer(), ("versions", "2"))

    def test_swapped_under_traffic(self):
        one, other = ({"rules": [{"to": {"model": name}}]} for name in ("ten", "hundred"))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(self.infer) for _ in range(200)]
            for i in range(50):
                self.put((one, other)[i % 2])
            chosen = {answer.result() for answer in answers}
        self.assertLessEqual(chosen, {("ten", "1"), ("hundred", "1"), ("versions", "2")})

    def test_metrics_and_versions(self):
        self.put({"rules": [{"name": "all", "to": {"model": "ten"}}]})
        for _ in range(3):
            self.infer()
        labels = {"rule": "all", "model": "ten", "version": ""}
        self.assertEqual(self.metric("slipway_route_requests_total", **labels), 3)
        self.assertEqual(self.server.get("/v2/models/@route/ready")[0], 200)
        status, _, answer = self.server.get("/v2/models/@route/versions/1/infer", b'{"inputs":[]}')
        self.assertEqual((status, json.loads(answer)["error"]), (400, "'@route' has no versions: its rules choose one"))


class Protected(Routed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        scale_model(cls.root / "ten/1/model.onnx", 10)

    def test_key(self):
        self.serve("--http-restricted-api", "route:Admin-Key=secret")
        rules = {"rules": [{"to": {"model": "ten"}}]}
        self.put(rules, 403)
        self.assertEqual(self.server.get("/v2/routes")[0], 403)
        self.put(rules, headers={"Admin-Key": "secret"})
        self.assertEqual(self.infer(), ("ten", "1"))

    def from_elsewhere(self, method, headers):
        """Status of a request that comes from an address of a network."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # sends nothing
            except OSError:
                self.skipTest("no address but loopback")
            address = probe.getsockname()[0]
        connection = http.client.HTTPConnection(address, self.server.http)
        connection.request(method, "/v2/routes", '{"rules": []}' if method == "PUT" else None, headers)
        with contextlib.closing(connection), connection.getresponse() as answer:
            return answer.status

    def test_from_elsewhere(self):
        for options in ([], ["--http-restricted-api", "route:Admin-Key=secret"]):
            self.serve("--host", "0.0.0.0", *options)
            with_key = [self.from_elsewhere(method, {"Admin-Key": "secret"}) for method in ("GET", "PUT")]
            self.assertEqual(with_key, [200, 200 if options else 403])
            self.assertEqual(self.server.get("/v2/routes", b"{}", {"Admin-Key": "secret"}, "PUT")[0], 200)


class Shadows(Routed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        scale_model(cls.root / "twice/1/model.onnx", 2)
        scale_model(cls.root / "twice/2/model.onnx", 2.5)
        (cls.root / "twice/config.pbtxt").write_text("version_policy { all { } }")
        scale_model(cls.root / "patient/1/model.onnx", 2)
        (cls.root / "patient/config.pbtxt").write_text(
            "max_batch_size: 32 dynamic_batching { preferred_batch_size: 32 max_queue_delay_microseconds: 2000000 }"
        )
        for name, label in (("old", "thing"), ("new", "object")):
            grey_detector(cls.root / name / "1/model.onnx", names="{0: '%s'}" % label)
        for name, shift, change in (("found", 0, 0), ("as_is", 0, 0), ("moved", (6, 0, 1, 1), (0, 1, 0, 0))):
            boxes_model(cls.root / name / "1/model.onnx", np.broadcast_to(shift, 4), np.broadcast_to(change, 4))
        cls.serve()

    def shadow(self, **more):
        self.put({"shadows": [{"name": "try", "of": {"model": "twice", "version": 1}, **more}]})

    def wait(self, name, value, **labels):
        deadline = time.monotonic() + serving.STARTS_IN_S
        while self.metric(name, **labels) != value:
            self.assertLess(time.monotonic(), deadline, (name, labels, self.metric(name, **labels)))
            time.sleep(0.01)

    def ask(self, version=1):
        return self.infer(model=f"twice/versions/{version}")

    def test_differences(self):
        self.shadow(to={"model": "twice", "version": 2})
        for _ in range(4):
            self.assertEqual(self.ask(), ("twice", "1"))
        self.ask(2)  # not of that version
        self.wait("slipway_shadow_compared_total", 4, shadow="try")
        self.assertEqual(self.metric("slipway_shadow_different_total", shadow="try"), 4)
        self.assertEqual(self.metric("slipway_shadow_max_abs_difference", shadow="try"), 1)  # 2 * 2 and 2 * 2.5
        self.assertAlmostEqual(self.metric("slipway_shadow_max_rel_difference", shadow="try"), 0.2, places=5)
        for arm in ("primary", "shadow"):
            self.assertEqual(self.metric("slipway_shadow_requests_total", shadow="try", arm=arm), 4)
            self.assertGreater(self.metric("slipway_shadow_duration_seconds_total", shadow="try", arm=arm), 0)
        self.shadow(to={"model": "twice", "version": 2}, tolerance=1.5)
        self.ask()
        self.wait("slipway_shadow_compared_total", 1, shadow="try")
        self.assertEqual(self.metric("slipway_shadow_different_total", shadow="try"), 0)

    def test_share(self):
        self.shadow(to={"model": "twice", "version": 2}, share=0.25)
        for _ in range(40):
            self.ask()
        self.wait("slipway_shadow_compared_total", 10, shadow="try")

    def test_failing_copies(self):
        self.shadow(to={"model": "nobody"})
        self.assertEqual(self.ask(), ("twice", "1"))
        self.wait("slipway_shadow_failures_total", 1, shadow="try")
        self.shadow(to={"model": "old"})  # takes other inputs
        self.assertEqual(self.ask(), ("twice", "1"))
        self.wait("slipway_shadow_failures_total", 1, shadow="try")

    def test_slow_copies_do_not_hold_up_clients(self):
        self.shadow(to={"model": "patient"})
        begin = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.ask(), ("twice", "1"))
        self.assertLess(time.monotonic() - begin, 2)  # patient waits that long for more
        self.wait("slipway_shadow_dropped_total", 4, shadow="try")
        self.wait("slipway_shadow_compared_total", 16, shadow="try")

    def test_agreement_of_detections(self):
        """F1: those of the same class that overlap by half, each once."""
        boxes = np.float32([[0, 0, 10, 10], [50, 0, 60, 10], [100, 0, 110, 10], [104, 0, 114, 10]])
        inputs = [
            {"name": "b", "datatype": "FP32", "shape": [4, 4], "data": boxes.ravel().tolist()},
            {"name": "c", "datatype": "INT32", "shape": [4], "data": [0, 1, 2, 2]},
        ]
        # The first goes too far, the second changes its class, the third and the fourth move a little.
        for other, f1 in (("as_is", 1), ("moved", 0.5)):
            self.put({"shadows": [{"name": other, "of": {"model": "found"}, "to": {"model": other}}]})
            answer = self.server.get("/v2/models/found/infer", json.dumps({"inputs": inputs}).encode())
            self.assertEqual(answer[0], 200, answer[2])
            self.wait("slipway_shadow_agreement_count", 1, shadow=other)
            self.assertEqual(self.metric("slipway_shadow_agreement_sum", shadow=other), f1)

    def test_pictures(self):
        self.put({"shadows": [{"name": "p", "of": {"model": "old"}, "to": {"model": "new"}}]})
        self.assertEqual(self.server.get("/v2/models/old/detect", picture(204))[0], 200)
        self.wait("slipway_shadow_compared_total", 1, shadow="p")
        self.assertEqual(self.metric("slipway_shadow_max_abs_difference", shadow="p"), 0)


if __name__ == "__main__":
    unittest.main()
