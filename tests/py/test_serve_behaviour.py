"""The 25 behaviours that Triton's own tests assert, and where ours assert them. Files are tests/py/test_NAME.py and, where the
clock must stand still to be exact, src/serve/test_NAME.c.

 1 server status, extensions                      here: Status.test_basic
 2 unknown model, unknown version                 here: Status.test_unknown
 3 the latest version, and a named one            here: Versions.test_latest_and_specific
 4 versions that come and go under poll           here: Poll.test_versions
 5 version policies                               here: Versions.test_policies
 6 raw binary                                     serve_http: Requests.test_raw_binary; here: Inputs.test_raw_texts
 7 raw binary that cannot be deduced              serve_http: Requests.test_raw_binary; here: Inputs.test_raw_texts
 8 a full queue is 503                            here: Queues.test_full_queue
 9 shapes that overflow                           serve_http: Requests.test_broken_bodies
10 depth of JSON                                  serve_http: Requests.test_depth_of_json
11 an output named twice                          serve_http: Requests.test_broken_bodies
12 size of requests                               serve_http: Limits.test_too_large, Ports.test_wrong_use
13 restricted routes                              serve_http: Keys
14 chunked bodies                                 serve_http: Requests.test_chunked
15 compression                                    serve: Http.test_tensors_come_back, Grpc.test_tensors_come_back
16 every method of the aio clients                here: Aio
17 batches                                        here: Queues.test_batches; queue.c: batches_what_waits, prefers_sizes,
                                                  waits_for_its_delay_and_no_longer, preserves_order, keeps_shapes_apart
18 exactly those beyond the queue's size fail     here: Queues.test_full_queue
19 requests that wait too long                    here: Queues.test_timeouts; queue.c: rejects_what_is_late, delays_what_is_late
20 priorities                                     here: Queues.test_priorities; queue.c: serves_priorities_first
21 models that come and go                        here: Poll.test_models, Control.test_none
22 loading and unloading by clients               here: Control.test_explicit, Control.test_ensemble
23 the old version answers during a reload        here: Control.test_reload
24 stopping                                       here: Stop; serve: Stop
25 metrics of queues, histograms, summaries       here: Queues.test_full_queue, test_priorities;
                                                  serve_settings: Settings.test_metrics_that_are_asked_for
"""

import contextlib
import asyncio
import concurrent.futures
import inspect
import json
import pathlib
import queue
import re
import shutil
import signal
import tempfile
import threading
import time
import unittest

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

import serving

CONFIG = """backend: "identity" max_batch_size: {batch}
input {{ name: "INPUT0" data_type: TYPE_{kind} dims: [ {dims} ] }}
output {{ name: "OUTPUT0" data_type: TYPE_{kind} dims: [ {dims} ] }}
"""
DELAY = 'parameters { key: "execute_delay_ms" value { string_value: "%d" } }\n'
ONE_BY_ONE = "instance_group { count: 1 kind: KIND_CPU }\n"
WARM_UP = """model_warmup { name: "first" batch_size: 1
inputs { key: "INPUT0" value { data_type: TYPE_FP32 dims: %s zero_data: true } } }"""
PATIENCE_S = 30


def write(root, name, more="", versions=(1,), dims="16", batch=8, kind="FP32"):
    """A model of the identity backend."""
    for version in versions:
        (root / name / str(version)).mkdir(parents=True, exist_ok=True)
    (root / name / "config.pbtxt").write_text(CONFIG.format(batch=batch, dims=dims, kind=kind) + more)


def tensors(module, x):
    kind = {"f": "FP32", "O": "BYTES", "i": "INT32"}[np.asarray(x).dtype.kind]
    made = module.InferInput("INPUT0", list(np.shape(x)), kind)
    made.set_data_from_numpy(np.asarray(x))
    return [made]


ROW = np.zeros((1, 16), np.float32)


class Serving(unittest.TestCase):
    """One server for the class, over the folder that `prepare` fills."""

    arguments = ()

    @classmethod
    def prepare(cls, root):
        pass

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.root = pathlib.Path(cls.temporary.name)
        cls.prepare(cls.root)
        cls.server = serving.Server("--model-repository", cls.root, *cls.arguments)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.http = triton_http.InferenceServerClient(self.server.url, concurrency=16)
        self.grpc = triton_grpc.InferenceServerClient(self.server.grpc_url)
        self.addCleanup(self.http.close)
        self.addCleanup(self.grpc.close)

    def both(self):
        for module, client in ((triton_http, self.http), (triton_grpc, self.grpc)):
            with self.subTest(protocol=module.__name__):
                yield module, client

    def refused(self, call, part, status=None):
        with self.assertRaises(InferenceServerException) as failure:
            call()
        self.assertIn(part, failure.exception.message())
        if status:
            self.assertIn(failure.exception.status(), status)

    def until(self, what, *arguments):
        deadline = time.monotonic() + PATIENCE_S
        while not what(*arguments):
            self.assertLess(time.monotonic(), deadline, "it does not come")
            time.sleep(0.005)

    def metric(self, name, model, **labels):
        """The sum of a metric's values of a model."""
        text = self.server.get("/metrics", port=self.server.metrics)[2].decode()
        wanted = "".join(f'(?=[^}}]*{key}="{value}")' for key, value in (("model", model), *labels.items()))
        found = re.findall(rf"^{name}\{{{wanted}[^}}]*\}} (\S+)$", text, re.M)
        self.assertTrue(found, f"no {name} of {model}")
        return sum(map(float, found))

    def waiting(self, model, n):
        return self.metric("nv_inference_pending_request_count", model) == n

    def statistics(self, model, version=""):
        [row] = self.http.get_inference_statistics(model, version)["model_stats"]
        return row

    def in_background(self, model, n, **options):
        """n requests at once, as futures of answers."""
        pool = concurrent.futures.ThreadPoolExecutor(n)
        self.addCleanup(pool.shutdown)
        body = {"inputs": [{"name": "INPUT0", "shape": [1, 16], "datatype": "FP32", "data": [0] * 16}], **options}
        ask = lambda: self.server.get(f"/v2/models/{model}/infer", json.dumps(body).encode())
        return [pool.submit(ask) for _ in range(n)]


class Status(Serving):
    @classmethod
    def prepare(cls, root):
        write(root, "identity")

    def test_basic(self):
        needed = {
            *("classification", "sequence", "model_repository", "schedule_policy", "model_configuration"),
            *("system_shared_memory", "cuda_shared_memory", "binary_tensor_data", "statistics"),
        }
        for module, client in self.both():
            self.assertTrue(client.is_server_live() and client.is_server_ready() and client.is_model_ready("identity"))
            server, model = client.get_server_metadata(), client.get_model_metadata("identity")
            name, version, extensions = (
                (server["name"], server["version"], server["extensions"])
                if module is triton_http
                else (server.name, server.version, list(server.extensions))
            )
            self.assertEqual((name, bool(version)), ("slipway", True))
            self.assertLessEqual(needed, set(extensions))
            self.assertEqual(model["name"] if module is triton_http else model.name, "identity")

    def test_unknown(self):
        for module, client in self.both():
            for name, version, part in (
                ("foo", "", "Request for unknown model: 'foo' is not found"),
                ("identity", "99", "Request for unknown model: 'identity' version 99 is not found"),
            ):
                for call in (
                    lambda: client.get_model_metadata(name, version),
                    lambda: client.get_model_config(name, version),
                    lambda: client.infer(name, tensors(module, ROW), model_version=version),
                ):
                    self.refused(call, part, ("404", "StatusCode.NOT_FOUND"))
                self.assertFalse(client.is_model_ready(name, version))
                with self.assertRaises(InferenceServerException):
                    client.get_inference_statistics(name, version)


class Versions(Serving):
    policies = {
        "latest1": ("latest { num_versions: 1 }", {3}),
        "latest2": ("latest { num_versions: 2 }", {2, 3}),
        "all": ("all { }", {1, 2, 3}),
        "specific1": ("specific { versions: 1 }", {1}),
        "specific13": ("specific { versions: [ 1, 3 ] }", {1, 3}),
    }

    @classmethod
    def prepare(cls, root):
        for name, (policy, _) in cls.policies.items():
            write(root, name, f"version_policy {{ {policy} }}", (1, 2, 3))

    def test_policies(self):
        for module, client in self.both():
            for name, (_, served) in self.policies.items():
                model = client.get_model_metadata(name)
                versions = model["versions"] if module is triton_http else model.versions
                self.assertEqual(sorted(map(int, versions)), sorted(served))
                for version in (1, 2, 3):
                    ask = lambda: client.infer(name, tensors(module, ROW), model_version=str(version))
                    if version in served:
                        answer = ask().get_response()
                        self.assertEqual(
                            answer["model_version"] if module is triton_http else answer.model_version, str(version)
                        )
                    else:
                        self.refused(ask, f"Request for unknown model: '{name}' version {version} is not")

    def test_latest_and_specific(self):
        success = lambda: [
            self.statistics("all", str(v))["inference_stats"]["success"]["count"] for v in (1, 2, 3)
        ]
        before = success()
        for module, client in self.both():
            client.infer("all", tensors(module, ROW))
            client.infer("all", tensors(module, ROW), model_version="1")
        self.assertEqual([now - then for now, then in zip(success(), before)], [2, 0, 2])
        self.assertEqual(self.http.get_model_metadata("all", "2")["versions"], ["2"])
        self.assertEqual(self.http.get_model_metadata("all")["inputs"][0]["shape"], [-1, 16])


class Poll(Serving):
    arguments = ("--model-control-mode", "poll", "--repository-poll-secs", "1")

    @classmethod
    def prepare(cls, root):
        write(root, "many", "version_policy { all { } }", (1, 2, 3))
        write(root, "goes")

    def versions(self):
        return [int(version) for version in self.http.get_model_metadata("many")["versions"]]

    def test_versions(self):
        self.http.infer("many", tensors(triton_http, ROW), model_version="1")
        shutil.rmtree(self.root / "many" / "3")
        (self.root / "many" / "7").mkdir()
        self.until(lambda: self.versions() == [1, 2, 7])
        for module, client in self.both():
            self.refused(
                lambda: client.infer("many", tensors(module, ROW), model_version="3"),
                "Request for unknown model: 'many' version 3 is not",
            )
            client.infer("many", tensors(module, ROW), model_version="7")
        self.assertEqual(self.statistics("many", "1")["inference_count"], 1)
        self.assertEqual(self.statistics("many", "7")["inference_count"], 2)

    def test_models(self):
        self.assertTrue(self.http.is_model_ready("goes"))
        shutil.rmtree(self.root / "goes")
        write(self.root, "comes")
        self.until(lambda: self.http.is_model_ready("comes") and not self.http.is_model_ready("goes"))
        for module, client in self.both():
            client.infer("comes", tensors(module, ROW))
            self.refused(lambda: client.infer("goes", tensors(module, ROW)), "Request for unknown model: 'goes'")
        self.refused(lambda: self.http.load_model("comes"), "explicit model load / unload is not allowed")


class Control(Serving):
    arguments = ("--model-control-mode", "explicit")

    @classmethod
    def prepare(cls, root):
        write(root, "plain")
        write(root, "member")
        write(root, "changing", versions=(1, 2))
        (root / "chain").mkdir()
        (root / "chain" / "config.pbtxt").write_text(
            """platform: "ensemble" max_batch_size: 8
            input { name: "A" data_type: TYPE_FP32 dims: 16 } output { name: "B" data_type: TYPE_FP32 dims: 16 }
            ensemble_scheduling { step { model_name: "member" model_version: -1
              input_map { key: "INPUT0" value: "A" } output_map { key: "OUTPUT0" value: "B" } } }"""
        )

    def test_none(self):
        """Under control mode none what comes later is ignored, and clients may load nothing."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write(root, "first")
            server = serving.Server("--model-repository", root)
            self.addCleanup(server.stop)
            write(root, "second")
            client = triton_http.InferenceServerClient(server.url)
            self.addCleanup(client.close)
            for call in (client.load_model, client.unload_model):
                self.refused(lambda: call("first"), "explicit model load / unload is not allowed")
            self.assertEqual([row["name"] for row in client.get_model_repository_index() if "state" in row], ["first"])
            self.assertTrue(client.is_model_ready("first"))

    def test_explicit(self):
        for module, client in self.both():
            self.assertFalse(client.is_model_ready("plain"))
            self.refused(
                lambda: client.load_model("unknown_model"),
                "failed to load 'unknown_model', failed to poll from model repository",
            )
            path = "../plain" if module is triton_grpc else "..%2Fplain"
            self.refused(lambda: client.load_model(path), "must not contain path traversal characters")
            client.unload_model("unknown_model")
            client.load_model("plain")
            client.infer("plain", tensors(module, ROW))
            client.unload_model("plain")
            self.until(lambda: not client.is_model_ready("plain"))
            self.refused(
                lambda: client.infer("plain", tensors(module, ROW)), "Request for unknown model: 'plain'"
            )
        self.until(lambda: self.server.log.count("slipway: plain: is unloaded\n") == 2)

    def test_ensemble(self):
        for _, client in self.both():
            client.load_model("chain")
            self.assertTrue(client.is_model_ready("chain") and client.is_model_ready("member"))
            client.unload_model("chain", unload_dependents=True)
            self.until(lambda: not client.is_model_ready("chain") and not client.is_model_ready("member"))
        self.http.load_model("chain")
        self.http.unload_model("chain")
        self.until(lambda: not self.http.is_model_ready("chain"))
        self.assertTrue(self.http.is_model_ready("member"))

    def test_reload(self):
        self.http.load_model("changing")
        version = lambda: self.http.infer("changing", tensors(triton_http, ROW)).get_response()["model_version"]
        self.assertEqual(version(), "2")
        slow = DELAY % 700 + WARM_UP % "16"
        write(self.root, "changing", slow + "version_policy { specific { versions: 1 } }", (1, 2))
        other = triton_http.InferenceServerClient(self.server.url)
        self.addCleanup(other.close)
        loading = threading.Thread(target=other.load_model, args=("changing",))
        loading.start()
        asked = 0
        while loading.is_alive() and asked < 20:
            self.assertEqual(version(), "2")  # the old one, until the new one is warm
            asked += 1
        self.assertEqual(asked, 20)
        loading.join()
        self.assertEqual(self.http.get_model_metadata("changing")["versions"], ["1"])
        write(self.root, "changing", "version_policy { specific { versions: 2 } } nonsense: 1", (1, 2))
        self.refused(lambda: self.http.load_model("changing"), "failed to load 'changing'")
        self.assertEqual(version(), "1")
        self.assertTrue(self.http.is_model_ready("changing"))


class Queues(Serving):
    @classmethod
    def prepare(cls, root):
        policy = "dynamic_batching { default_queue_policy { %s } }\n"
        slow = ONE_BY_ONE + DELAY % 400
        waits = "preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 4000000"
        write(root, "full", f"dynamic_batching {{ {waits} default_queue_policy {{ max_queue_size: 3 }} }}")
        late = "timeout_action: REJECT default_timeout_microseconds: 20000 allow_timeout_override: true"
        write(root, "rejects", slow + policy % late, batch=1)
        write(root, "delays", slow + policy % "timeout_action: DELAY default_timeout_microseconds: 20000", batch=1)
        write(root, "levels", slow + "dynamic_batching { priority_levels: 2 default_priority_level: 2 }", batch=1)
        write(root, "most", "dynamic_batching { priority_levels: 4294967297 default_priority_level: 4294967297 }")
        write(root, "batches", slow + "dynamic_batching { }")
        write(root, "shapes", slow + "dynamic_batching { }", dims="-1")
        preferred = "dynamic_batching { preferred_batch_size: [ 4 ] max_queue_delay_microseconds: 60000000 }"
        write(root, "prefers", ONE_BY_ONE + preferred)
        (root / "around").mkdir()
        (root / "around" / "config.pbtxt").write_text(
            """platform: "ensemble" max_batch_size: 1
            input { name: "INPUT0" data_type: TYPE_FP32 dims: 16 } output { name: "OUTPUT0" data_type: TYPE_FP32 dims: 16 }
            ensemble_scheduling { step { model_name: "rejects" model_version: -1
              input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "OUTPUT0" } } }"""
        )

    def executions(self, model):
        row = self.statistics(model)
        sizes = {batch["batch_size"]: batch["compute_infer"]["count"] for batch in row["batch_stats"]}
        return row["inference_count"], row["execution_count"], sizes

    def test_full_queue(self):
        answers = self.in_background("full", 3)  # which wait for a batch of 8, for some seconds
        self.until(self.waiting, "full", 3)
        for _ in range(2):
            status, headers, answer = self.server.get("/v2/models/full/infer", self.body())
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            self.assertIn("Exceeds maximum queue size", json.loads(answer)["error"])
        self.assertEqual(self.pushback("full"), "1000")
        self.assertEqual([answer.result()[0] for answer in answers], [200] * 3)
        self.assertTrue(self.waiting("full", 0))
        self.assertEqual(self.metric("nv_inference_request_failure", "full", reason="REJECTED"), 3)
        self.assertEqual(self.metric("nv_inference_request_success", "full"), 3)

    @staticmethod
    def body(**options):
        return json.dumps(
            {"inputs": [{"name": "INPUT0", "shape": [1, 16], "datatype": "FP32", "data": [0] * 16}], **options}
        ).encode()

    def pushback(self, model):
        """What gRPC says with a refusal about when to try again."""
        channel = triton_grpc.grpc.insecure_channel(self.server.grpc_url, [("grpc.enable_retries", 0)])
        self.addCleanup(channel.close)
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        request = triton_grpc.service_pb2.ModelInferRequest(model_name=model)
        tensor = request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, 16])
        tensor.contents.fp32_contents.extend([0.0] * 16)
        with self.assertRaises(triton_grpc.grpc.RpcError) as failure:
            call(request.SerializeToString())
        self.assertEqual(failure.exception.code(), triton_grpc.grpc.StatusCode.UNAVAILABLE)
        self.assertIn("Exceeds maximum queue size", failure.exception.details())
        return dict(failure.exception.trailing_metadata()).get("grpc-retry-pushback-ms")

    def busy(self, model):
        """A request that the model's instance has begun."""
        [answer] = self.in_background(model, 1)
        time.sleep(0.1)
        return answer

    def test_timeouts(self):
        """What is late is told so when its turn comes."""
        first = self.busy("rejects")
        late = [*self.in_background("rejects", 1), *self.in_background("around", 1)]
        patient = self.in_background("rejects", 1, parameters={"timeout": 1 << 40})  # more than the default is not taken
        self.until(self.waiting, "rejects", 3)
        self.refused(
            lambda: self.grpc.infer("rejects", tensors(triton_grpc, ROW), timeout=1000),
            "Request timeout expired",
            ("StatusCode.UNAVAILABLE",),
        )
        for answer in (*late, *patient):
            status, headers, body = answer.result()
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            self.assertIn("Request timeout expired", json.loads(body)["error"])
        self.assertEqual(first.result()[0], 200)
        self.assertEqual(self.metric("nv_inference_request_failure", "rejects", reason="REJECTED"), 4)
        self.assertEqual(self.metric("nv_inference_request_failure", "around", reason="OTHER"), 1)
        self.assertEqual([answer.result()[0] for answer in self.in_background("delays", 2)], [200, 200])

    def test_priorities(self):
        order = queue.Queue()
        for level, name in ((0, "first"), (2, "low 1"), (2, "low 2"), (1, "high")):
            self.grpc.async_infer(
                "levels",
                tensors(triton_grpc, ROW),
                callback=lambda result, error, name=name: order.put((name, error)),
                priority=level,
            )
            self.until(self.waiting, "levels", {"first": 0, "low 1": 1, "low 2": 2, "high": 3}[name])
            if name == "first":
                time.sleep(0.05)  # until it runs
        got = [order.get(timeout=PATIENCE_S) for _ in range(4)]
        self.assertEqual(got, [(name, None) for name in ("first", "high", "low 1", "low 2")])
        for priority in (0, 1, 2**32 + 1):
            self.http.infer("most", tensors(triton_http, ROW), priority=priority)

    def test_batches(self):
        answers = [self.busy("batches")]
        answers += self.in_background("batches", 5)
        self.until(self.waiting, "batches", 5)
        self.assertEqual([answer.result()[0] for answer in answers], [200] * 6)
        self.assertEqual(self.executions("batches"), (6, 2, {1: 1, 5: 1}))
        answers = self.in_background("prefers", 4)  # the delay of a minute is cut short by a preferred size
        self.assertEqual([answer.result()[0] for answer in answers], [200] * 4)
        self.assertEqual(self.executions("prefers"), (4, 1, {4: 1}))

    def test_different_shapes(self):
        answers = queue.Queue()
        for i, width in enumerate((2, 3, 3, 5, 5)):
            x = np.full((1, width), i, np.float32)
            self.grpc.async_infer(
                "shapes",
                tensors(triton_grpc, x),
                callback=lambda result, error, x=x: answers.put((result.as_numpy("OUTPUT0") == x).all()),
            )
            self.until(self.waiting, "shapes", i)
            if not i:
                time.sleep(0.05)
        self.assertTrue(all(answers.get(timeout=PATIENCE_S) for _ in range(5)))
        self.assertEqual(self.executions("shapes"), (5, 3, {1: 1, 2: 2}))


class Stop(unittest.TestCase):
    def serve(self, *models, arguments=()):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        root = pathlib.Path(temporary.name)
        for name, more in models:
            write(root, name, more)
        server = serving.Server("--model-repository", root, *arguments)
        self.addCleanup(server.stop)
        return server

    def test_requests_under_way_are_answered(self):
        """With a connection that lives on, and no more requests on it."""
        server = self.serve(("slow", ONE_BY_ONE + DELAY % 600))
        client = triton_grpc.InferenceServerClient(server.grpc_url)
        self.addCleanup(client.close)
        answers = queue.Queue()
        for _ in range(2):
            client.async_infer("slow", tensors(triton_grpc, ROW), lambda result, error: answers.put(error))
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)
        under_way = pool.submit(server.get, "/v2/models/slow/infer", Queues.body())
        deadline = time.monotonic() + PATIENCE_S
        pending = rb'pending_request_count\{model="slow",version="1"\} [12]\n'
        while not re.search(pending, server.get("/metrics", port=server.metrics)[2]):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        time.sleep(0.2)  # until all three are there
        server.process.send_signal(signal.SIGTERM)
        while not any("Waiting for in-flight requests" in line for line in server.log):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        with self.assertRaises(Exception):
            triton_http.InferenceServerClient(server.url).infer("slow", tensors(triton_http, ROW))
        self.assertEqual([answers.get(timeout=PATIENCE_S) for _ in range(2)], [None, None])
        self.assertEqual(under_way.result()[0], 200)
        self.assertEqual(server.stop()[0], 0)

    def test_while_loading(self):
        arguments = ("--model-control-mode", "explicit")
        server = self.serve(("slow", DELAY % 500 + WARM_UP % "16"), arguments=arguments)

        def load():
            with contextlib.suppress(OSError):  # the server may leave before it answers
                server.get("/v2/repository/models/slow/load", b"")

        loading = threading.Thread(target=load)
        loading.start()
        deadline = time.monotonic() + PATIENCE_S
        while not any("is running warmup sample 'first'" in line for line in server.log):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        self.assertEqual(server.stop()[0], 0)
        loading.join(PATIENCE_S)
        self.assertFalse(loading.is_alive())

    def test_a_warm_up_that_fails(self):
        arguments = ("--exit-on-error", "false", "--strict-readiness", "false")
        server = self.serve(("good", ""), ("cold", WARM_UP % "5"), arguments=arguments)
        deadline = time.monotonic() + PATIENCE_S
        while not any("warmup" in line and "cold" in line for line in server.log):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        self.assertEqual(server.get("/v2/models/cold/ready")[0], 400)
        self.assertEqual(server.get("/v2/models/good/ready")[0], 200)


class Inputs(Serving):
    @classmethod
    def prepare(cls, root):
        write(root, "texts", dims="1", kind="STRING", batch=0)
        write(root, "scalar", 'name: "scalar"', dims="1", batch=0)
        write(root, "open", dims="-1, 4", batch=0)
        write(root, "plain")
        reshape = CONFIG.format(batch=8, dims="1", kind="FP32").replace("dims: [ 1 ]", "dims: [ 1 ] reshape { shape: [ ] }")
        (root / "reshaped" / "1").mkdir(parents=True)
        (root / "reshaped" / "config.pbtxt").write_text(reshape)
        three = "".join(
            f'{way} {{ name: "{way.upper()}{i}" data_type: TYPE_FP32 dims: [ 16 ] }}\n'
            for way in ("input", "output")
            for i in range(3)
        )
        (root / "three" / "1").mkdir(parents=True)
        (root / "three" / "config.pbtxt").write_text('backend: "identity" max_batch_size: 8\n' + three)

    def raw(self, model, body):
        return self.server.get(f"/v2/models/{model}/infer", body, {"Inference-Header-Content-Length": "0"})

    def test_raw_texts(self):
        status, headers, answer = self.raw("texts", "zw\u00f6lf".encode())
        self.assertEqual(status, 200)
        self.assertEqual(
            answer[int(headers["Inference-Header-Content-Length"]) :], b"\x06\0\0\0" + "zw\u00f6lf".encode()
        )
        status, _, answer = self.raw("three", bytes(64))
        self.assertIn("Raw request must only have 1 input (found 1) to be deduced but got 3 inputs in", answer.decode())

    def test_sentences(self):
        x = np.zeros((1, 16), np.float32)
        wide = np.zeros((1, 10), np.float32)
        for module, client in self.both():
            self.refused(
                lambda: client.infer("three", tensors(module, x)), "expected 3 inputs but got 1 inputs for model 'three'"
            )
            self.refused(lambda: client.infer("plain", tensors(module, wide)), "unexpected shape for input 'INPUT0'")
            self.refused(
                lambda: client.infer("plain", tensors(module, x.astype(np.int32))), "data-type is 'INT32', but model"
            )
            self.refused(
                lambda: client.infer("plain", tensors(module, np.zeros((9, 16), np.float32))),
                "inference request batch-size must be <= 8 for 'plain'",
            )
            for count, answer in ((0, [0, 0]), (1, 1), (3, 3)):
                wanted = [module.InferRequestedOutput("OUTPUT0", class_count=count)]
                shape = client.infer("plain", tensors(module, x), outputs=wanted).as_numpy("OUTPUT0").shape
                self.assertEqual(shape, (1, count or 16))
        head = json.dumps(
            {"inputs": [{"name": "INPUT0", "shape": [1, 16], "datatype": "FP32", "parameters": {"binary_data_size": 40}}]}
        ).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        status, _, answer = self.server.get("/v2/models/plain/infer", head + bytes(40), headers)
        self.assertEqual(status, 400)
        self.assertIn("input byte size mismatch for input 'INPUT0' for model 'plain'. Expected 64, got 40", answer.decode())

    def test_scalars_nothing_and_reshape(self):
        for module, client in self.both():
            for model, x in (
                ("scalar", np.array([7.5], np.float32)),
                ("open", np.zeros((0, 4), np.float32)),
                ("open", np.arange(8, dtype=np.float32).reshape(2, 4)),
                ("reshaped", np.array([[1], [2]], np.float32)),
            ):
                for outputs in (None, [module.InferRequestedOutput("OUTPUT0")]):
                    answer = client.infer(model, tensors(module, x), outputs=outputs).as_numpy("OUTPUT0")
                    self.assertEqual((answer.shape, answer.tolist()), (x.shape, x.tolist()))


class Clients(Serving):
    """Clients that do not wait."""

    @classmethod
    def prepare(cls, root):
        write(root, "slow", ONE_BY_ONE + DELAY % 400)

    def test_timeout(self):
        self.refused(
            lambda: self.grpc.infer("slow", tensors(triton_grpc, ROW), client_timeout=0.1),
            "Deadline Exceeded",
            ("StatusCode.DEADLINE_EXCEEDED",),
        )
        row = tensors(triton_grpc, ROW)
        for _ in range(10):  # the server may see it first
            late = lambda: self.grpc.infer("slow", row, client_timeout=1e-6)
            self.refused(late, "Deadline", ("StatusCode.DEADLINE_EXCEEDED",))
        impatient = triton_http.InferenceServerClient(self.server.url, network_timeout=0.1)
        with self.assertRaises(Exception):
            impatient.infer("slow", tensors(triton_http, ROW))
        impatient.close()
        self.assertEqual(self.grpc.infer("slow", tensors(triton_grpc, ROW)).as_numpy("OUTPUT0").shape, (1, 16))

    def test_cancellation(self):
        answers, before = queue.Queue(), self.metric("nv_inference_request_failure", "slow", reason="CANCELED")
        done = self.metric("nv_inference_exec_count", "slow")
        calls = [
            self.grpc.async_infer("slow", tensors(triton_grpc, ROW), lambda result, error: answers.put(error))
            for _ in range(4)
        ]
        self.until(lambda: self.metric("nv_inference_pending_request_count", "slow") >= 3)
        for call in calls[1:]:
            call.cancel()
        errors = [answers.get(timeout=PATIENCE_S) for _ in calls]
        self.assertEqual(sum("Locally cancelled" in str(error) for error in errors), 3)
        self.until(lambda: self.metric("nv_inference_request_failure", "slow", reason="CANCELED") >= before + 3)
        self.assertLessEqual(self.metric("nv_inference_exec_count", "slow"), done + 2)


class Aio(Serving):
    """Every coroutine of the clients, so that none is forgotten when there are more."""

    arguments = ("--model-control-mode", "explicit", "--load-model", "identity", "--allow-client-shm", "true")

    @classmethod
    def prepare(cls, root):
        write(root, "identity")
        write(root, "other")

    async def check(self, module, sync, url):
        client = module.InferenceServerClient(url)
        inputs = tensors(sync, ROW)
        calls = {
            "is_server_live": (),
            "is_server_ready": (),
            "is_model_ready": ("identity",),
            "get_server_metadata": (),
            "get_model_metadata": ("identity",),
            "get_model_config": ("identity",),
            "get_model_repository_index": (),
            "load_model": ("other",),
            "unload_model": ("other",),
            "get_inference_statistics": ("identity",),
            "update_trace_settings": ("identity", {"trace_rate": "7"}),
            "get_trace_settings": ("identity",),
            "update_log_settings": ({"log_verbose_level": 1},),
            "get_log_settings": (),
            "get_system_shared_memory_status": (),
            "register_system_shared_memory": ("a", "/slipway-none", 64),
            "unregister_system_shared_memory": (),
            "get_cuda_shared_memory_status": (),
            "register_cuda_shared_memory": ("a", b"x" * 64, 0, 64),
            "unregister_cuda_shared_memory": (),
            "infer": ("identity", inputs),
        }
        refused = {"register_system_shared_memory", "register_cuda_shared_memory"}
        methods = {name for name, _ in inspect.getmembers(client, inspect.iscoroutinefunction) if name[0] != "_"}
        self.assertEqual(methods - {"close", "stream_infer"}, set(calls))
        for name, arguments in calls.items():
            if name in refused:
                with self.assertRaises(InferenceServerException):
                    await getattr(client, name)(*arguments)
                continue
            answer = await getattr(client, name)(*arguments)
            if name.startswith("is_"):
                self.assertTrue(answer)
        if hasattr(client, "stream_infer"):
            await self.check_stream(client, inputs)
        await client.close()

    async def check_stream(self, client, inputs):
        async def requests():
            for i in range(5):
                yield {"model_name": "identity" if i != 3 else "none", "inputs": inputs, "request_id": str(i)}

        got = []
        async for result, error in client.stream_infer(requests()):
            got.append(str(error) if error else result.get_response().id)
        self.assertEqual([got[i] for i in (0, 1, 2, 4)], ["0", "1", "2", "4"])
        self.assertIn("Request for unknown model: 'none' is not found", got[3])

    def test_http(self):
        asyncio.run(self.check(triton_http_aio, triton_http, self.server.url))

    def test_grpc(self):
        asyncio.run(self.check(triton_grpc_aio, triton_grpc, self.server.grpc_url))


if __name__ == "__main__":
    unittest.main()
