"""slipway serve: what Triton's clients set and ask of logging and tracing, the files that come of it, the access log."""

import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

import serving
import slipway

WIDE = 320000  # floats of a request that takes its time
LOG = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}
STAMPS = [
    *("REQUEST_START", "QUEUE_START", "COMPUTE_START", "COMPUTE_INPUT_END"),
    *("COMPUTE_OUTPUT_START", "COMPUTE_END", "REQUEST_END"),
]


def plain(answer):
    """Settings of a gRPC answer as HTTP has them."""
    found = {}
    for name, value in answer.settings.items():
        if hasattr(value, "value"):
            values = list(value.value)
            found[name] = values if name == "trace_level" else values[0]
        else:
            found[name] = getattr(value, value.WhichOneof("parameter_choice"))
    return found


CPU_METRICS = ("utilization", "memory_total_bytes", "memory_used_bytes")
# Two GPUs, the second of which does not tell its power.
NVML = """
#include <stdio.h>
typedef struct gpu_s { int number; unsigned long long energy; } *device;
static struct gpu_s gpus[] = {{0, 7000}, {1, 7000}};
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, device *d) { *d = &gpus[i]; return 0; }
int nvmlDeviceGetUUID(device d, char *text, unsigned size) { snprintf(text, size, "GPU-%d", d->number); return 0; }
int nvmlDeviceGetUtilizationRates(device d, unsigned *u) { u[0] = 50; u[1] = 9; return 0; }
int nvmlDeviceGetMemoryInfo(device d, unsigned long long *m) {
    m[0] = 80000000000; m[1] = 79000000000; m[2] = 1000000000; return 0;
}
int nvmlDeviceGetPowerUsage(device d, unsigned *mw) { *mw = 101500; return d->number ? 3 : 0; }
int nvmlDeviceGetEnforcedPowerLimit(device d, unsigned *mw) { *mw = 700000; return 0; }
int nvmlDeviceGetTotalEnergyConsumption(device d, unsigned long long *mj) {
    *mj = d->energy; d->energy = 9000; return 0;
}
"""


class Settings(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.trace = self.folder / "trace.json"
        self.models = [serving.identity_model(self.folder / f"{name}.onnx") for name in ("a", "b")]

    def serve(self, *arguments):
        server = serving.Server(*self.models, *arguments)
        self.addCleanup(server.stop)
        clients = []
        for module, url in ((triton_http, server.url), (triton_grpc, server.grpc_url)):
            clients.append(module.InferenceServerClient(url))
            self.addCleanup(clients[-1].close)
        return server, clients

    def settings(self, client, call, *arguments, **options):
        answer = getattr(client, call)(*arguments, **options)
        return answer if isinstance(answer, dict) else plain(answer)

    def refused(self, call, part):
        with self.assertRaises(InferenceServerException) as failure:
            call()
        self.assertIn(part, failure.exception.message())

    @staticmethod
    def infer(client, model, n, request_id="", width=16):
        module = triton_http if isinstance(client, triton_http.InferenceServerClient) else triton_grpc
        x = module.InferInput("INPUT0", [1, width], "FP32")
        x.set_data_from_numpy(np.zeros((1, width), np.float32))
        for _ in range(n):
            client.infer(model, [x], request_id=request_id)

    def test_log(self):
        server, clients = self.serve()
        for client in clients:
            self.assertEqual(self.settings(client, "get_log_settings"), LOG)
            changed = {"log_info": False, "log_verbose_level": 3, "log_format": "ISO8601"}
            self.assertEqual(self.settings(client, "update_log_settings", changed), LOG | changed)
            for wrong, part in (
                ({"log_file": "x"}, "log file location can not be updated through network protocol"),
                ({"log_format": "xml"}, "'log_format' must be default or ISO8601"),
                ({"log_nothing": True}, "unknown log setting 'log_nothing'"),
                ({"log_warning": False, "log_nothing": True}, "unknown log setting"),
            ):
                self.refused(lambda: client.update_log_settings(wrong), part)
            self.assertEqual(self.settings(client, "get_log_settings"), LOG | changed)  # all or nothing
            again = {"log_info": True, "log_verbose_level": 0, "log_format": "default"}
            self.assertEqual(self.settings(client, "update_log_settings", again), LOG)
        for body in (
            b"[]",
            b"{",
            b'{"log_info":[1]}',
            b'{"log_info":1}',
            b'{"log_error":false,"log_format":7}',
            b'{"log_verbose_level":1.5}',
            b'{"log_verbose_level":-1}',
        ):
            self.assertEqual(server.get("/v2/logging", body)[0], 400)

    def test_log_settings_have_effect(self):
        server, (client, _) = self.serve()
        client.update_log_settings({"log_info": False, "log_format": "ISO8601"})
        client.update_log_settings({"log_info": True})
        code, log = server.stop()
        self.assertEqual(code, 0)
        self.assertRegex(log, r"slipway: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z: Waiting for in-flight requests")
        server, (client, _) = self.serve("--log-format", "ISO8601")
        client.update_log_settings({"log_info": False})
        self.assertNotIn("Waiting for in-flight", server.stop()[1])

    def test_traces(self):
        trace = ["--trace-config", f"triton,file={self.trace}", "--trace-config", "rate=1"]
        server, clients = self.serve(*trace)
        start = {
            "trace_level": ["OFF"],
            "trace_rate": "1",
            "trace_count": "-1",
            "log_frequency": "0",
            "trace_file": str(self.trace),
            "trace_mode": "triton",
        }
        written = 0
        for client in clients:
            self.assertEqual(self.settings(client, "get_trace_settings"), start)
            self.infer(client, "a", 3)
            on = {"trace_level": ["TIMESTAMPS"], "log_frequency": "2"}
            self.assertEqual(self.settings(client, "update_trace_settings", settings=on), start | on)
            one = self.settings(client, "update_trace_settings", model_name="b", settings={"trace_rate": "2"})
            self.assertEqual(one, start | on | {"trace_rate": "2"})
            self.infer(client, "a", 2, "seven")
            self.infer(client, "b", 4)
            for model in ("a", "b"):
                [who, when] = json.loads(pathlib.Path(f"{self.trace}.{written}").read_text())[:2]
                expected = (model, 1, "seven" if model == "a" else "", who["id"])
                got = (who["model_name"], who["model_version"], who["request_id"], when["id"])
                self.assertEqual(got, expected)
                self.assertEqual([stamp["name"] for stamp in when["timestamps"]], STAMPS)
                times = [stamp["ns"] for stamp in when["timestamps"]]
                self.assertEqual(times, sorted(times))
                written += 1
            followed = self.settings(client, "update_trace_settings", model_name="b", settings={"trace_rate": None})
            self.assertEqual(followed["trace_rate"], "1")
            self.settings(client, "update_trace_settings", settings={"trace_level": "OFF", "log_frequency": None})
            self.assertEqual(self.settings(client, "get_trace_settings", model_name="b"), start)
        self.assertFalse(self.trace.exists())
        client.update_trace_settings(settings={"trace_level": "TIMESTAMPS", "trace_count": "3"})
        self.infer(client, "a", 9)
        self.assertEqual(self.settings(client, "get_trace_settings")["trace_count"], "0")
        server.stop()
        self.assertEqual(len(json.loads(self.trace.read_text())), 6)

    def test_trace_settings_that_cannot_be(self):
        _, clients = self.serve()
        for client in clients:
            set_trace = client.update_trace_settings
            for settings, part in (
                ({"trace_file": "/tmp/x"}, "trace file location can not be updated through network protocol"),
                ({"trace_level": ["TIMESTAMPS"]}, "there is no trace file"),
                ({"trace_level": ["TENSORS"]}, "trace level TENSORS is not supported"),
                ({"trace_level": ["OFF", "TIMESTAMPS"]}, "Expect only one trace level 'OFF' is specified"),
                ({"trace_level": ["LOUD"]}, "unknown trace level 'LOUD'"),
                ({"trace_rate": "0"}, "'trace_rate' must be a whole number of at least 1"),
                ({"trace_count": "-2"}, "'trace_count' must be a whole number of at least -1"),
                ({"log_frequency": "x"}, "'log_frequency' must be a whole number of at least 0"),
                ({"nothing": "1"}, "unknown trace setting 'nothing'"),
            ):
                self.refused(lambda: set_trace(settings=settings), part)
            self.refused(lambda: client.get_trace_settings(model_name="none"), "Request for unknown model : none")
            self.refused(lambda: set_trace("none", {"trace_rate": "5"}), "Request for unknown model : none")

    def test_access_log(self):
        path = self.folder / "access.jsonl"
        path.write_text('{"old": 1}\n')
        server, (client, grpc) = self.serve("--access-log", path)
        self.infer(client, "a", 2, "one")
        self.infer(grpc, "b", 1)
        x = triton_grpc.InferInput("INPUT0", [1, 5], "FP32")
        x.set_data_from_numpy(np.zeros((1, 5), np.float32))
        self.refused(lambda: grpc.infer("a", [x]), "unexpected shape")
        deadline = time.monotonic() + 20
        while len(path.read_text().splitlines()) < 5:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual(rows[0], {"old": 1})
        self.assertEqual([row.get("model") for row in rows[1:]], ["a", "a", "b", "a"])
        self.assertEqual([row["code"] for row in rows[1:]], ["OK", "OK", "OK", "INVALID_ARGUMENT"])
        self.assertEqual([row.get("id") for row in rows[1:]], ["one", "one", None, None])
        self.assertIn("unexpected shape", rows[4]["error"])
        for row in rows[1:]:
            self.assertRegex(row["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertLessEqual(row["queue_us"] + row["compute_us"], row["total_us"] + 1)

    def test_access_log_that_is_moved_away(self):
        path, old = self.folder / "access.jsonl", self.folder / "access.jsonl.1"
        server, (client, _) = self.serve("--access-log", path)
        self.infer(client, "a", 1, "one")
        path.rename(old)
        self.infer(client, "a", 1, "two")  # still into the old file
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while not path.exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.infer(client, "a", 1, "three")
        self.assertEqual(server.stop()[0], 0)
        names = [[json.loads(line)["id"] for line in file.read_text().splitlines()] for file in (old, path)]
        self.assertEqual(names[0][:2] + names[1][-1:], ["one", "two", "three"])
        self.assertEqual(len(names[0] + names[1]), 3)

    def test_metrics_that_are_asked_for(self):
        families = {
            "nv_inference_request_duration_us": "counter",
            "nv_inference_first_response_histogram_ms": "histogram",
            "nv_inference_request_summary_us": "summary",
            "nv_inference_queue_summary_us": "summary",
            "nv_inference_compute_input_summary_us": "summary",
            "nv_inference_compute_infer_summary_us": "summary",
            "nv_inference_compute_output_summary_us": "summary",
        }

        def kinds(text):
            return {name: kind for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M) if name in families}

        # A small request can take less than the microsecond that is counted in.
        serving.identity_model(self.folder / "a.onnx", shape=("n", WIDE))
        server, (client, _) = self.serve()
        text = server.get("/metrics", port=server.metrics)[2].decode()
        self.assertEqual(kinds(text), {"nv_inference_request_duration_us": "counter"})
        more = ["counter_latencies=false", "histogram_latencies=true", "summary_latencies=true"]
        more.append("summary_quantiles=0.25:0.05,0.75:0.01")
        server, (client, _) = self.serve(*(word for config in more for word in ("--metrics-config", config)))
        of_a = 'model="a",version="1"'
        text = server.get("/metrics", port=server.metrics)[2].decode()
        self.assertEqual(kinds(text), {name: kind for name, kind in families.items() if kind != "counter"})
        self.assertIn(f'nv_inference_queue_summary_us{{{of_a},quantile="0.25"}} NaN', text)
        self.infer(client, "a", 5, width=WIDE)
        text = server.get("/metrics", port=server.metrics)[2].decode()
        for bound in ("100", "500", "2000", "5000", "+Inf"):
            self.assertIn(f'nv_inference_first_response_histogram_ms_bucket{{{of_a},le="{bound}"}} 5', text)
        self.assertIn(f"nv_inference_request_summary_us_count{{{of_a}}} 5", text)
        low, high = (
            float(re.search(rf'nv_inference_request_summary_us\{{{of_a},quantile="{q}"\}} (\S+)', text)[1])
            for q in ("0.25", "0.75")
        )
        total = float(re.search(rf"nv_inference_request_summary_us_sum\{{{of_a}\}} (\S+)", text)[1])
        self.assertTrue(0 < low <= high <= total * 1.03)

    def machine(self, server):
        """Metrics of the machine, {name with labels: number}."""
        text = server.get("/metrics", port=server.metrics)[2].decode()
        return {name: float(value) for name, value in re.findall(r"^(nv_(?:[cg]pu|energy)_\S+) (\S+)$", text, re.M)}

    def test_metrics_of_the_machine(self):
        server, _ = self.serve()
        values = self.machine(server)
        self.assertEqual({name for name in values if "cpu" in name}, {f"nv_cpu_{name}" for name in CPU_METRICS})
        self.assertTrue(0 <= values["nv_cpu_utilization"] <= 1)
        self.assertTrue(0 < values["nv_cpu_memory_used_bytes"] < values["nv_cpu_memory_total_bytes"])
        library = self.folder / "libnvidia-ml.so.1"
        (self.folder / "nvml.c").write_text(NVML)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, self.folder / "nvml.c"], check=True)
        env = slipway.ENVIRONMENT | {"LD_LIBRARY_PATH": str(self.folder)}
        server = serving.Server(self.models[0], env=env)
        self.addCleanup(server.stop)
        deadline = time.monotonic() + 10
        while "nv_gpu_utilization" not in str(values := self.machine(server)) and time.monotonic() < deadline:
            time.sleep(0.01)  # it is opened in the background
        got = {name: value for name, value in values.items() if "cpu" not in name}
        first = {
            "nv_gpu_utilization": 0.5,
            "nv_gpu_memory_total_bytes": 8e10,
            "nv_gpu_memory_used_bytes": 1e9,
            "nv_gpu_power_usage": 101.5,
            "nv_gpu_power_limit": 700,
            "nv_energy_consumption": 2,
        }
        second = {name: value for name, value in first.items() if "power_usage" not in name}
        want = {f'{name}{{gpu_uuid="GPU-{i}"}}': v for i, row in enumerate((first, second)) for name, v in row.items()}
        self.assertEqual(got, want)

    def test_generate(self):
        server, _ = self.serve()
        for path in ("generate", "versions/1/generate_stream"):
            status, _, answer = server.get(f"/v2/models/a/{path}", b"{}")
            self.assertEqual(status, 501)
            self.assertIn("generate is not supported", json.loads(answer)["error"])

    def test_wrong_use(self):
        for arguments, part in (
            (["--trace-config", "level=TIMESTAMPS"], "needs a file"),
            (["--trace-config", "opentelemetry,url=x"], "'opentelemetry,url=x' is not known"),
            (["--trace-config", "rate=0"], "needs a whole number of at least 1"),
            (["--metrics-config", "summary_latencies=yes"], "'summary_latencies=yes' is not known"),
            (["--metrics-config", "summary_quantiles=0.5,2"], "no list of quantiles"),
            (["--log-format", "xml"], "expected default or ISO8601"),
            (["--log-info", "1"], "expected true or false"),
        ):
            self.assertIn(part, slipway.run("serve", "x.onnx", *arguments, expect=1).stderr)
        missing = slipway.run("serve", "x.onnx", "--access-log", self.folder / "no" / "log", expect=3)
        self.assertIn("the access log cannot be opened", missing.stderr)


if __name__ == "__main__":
    unittest.main()
