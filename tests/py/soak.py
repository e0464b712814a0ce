"""Traffic of every kind on one server, to see whether every request is answered once and memory stays as it is.

    tests/py/soak.py [--minutes 10] [--idle 10000] [--reloads 1000] [--json FILE]

Mixed traffic for so many minutes: good requests (alone, pipelined, over gRPC with TLS, by rules that change and with
shadows, to a model that comes and goes), pictures to a detector and to a pipeline, broken and oversized ones, handshakes
that stop, senders that are slow or close half of the connection, clients that leave. Then idle connections, then loads
and unloads of a model. Each part prints how the resident memory went, and fails when it grew.
tests/py/test_serve_soak.py has the same in small."""

import argparse
import collections
import contextlib
import json
import pathlib
import random
import resource
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time

import cv2
import numpy as np

import serving
from test_serve_pictures import grey_detector, picture
from test_serve_pipelines import pipeline
from test_serve_tls import make_certificates

CONFIG = """max_batch_size: 8
dynamic_batching { max_queue_delay_microseconds: 20000 default_queue_policy { max_queue_size: 64 } }"""
MOST_BODY, REQUEST_S, SAMPLE_S, ANSWER_S, PAUSE_S = 1 << 16, 2, 0.25, 30, 0.005
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection
GROWN_KIB = 1024  # what the heap may still settle by after the warm-up, whatever the length of the run


def make_repository(folder):
    for name in ("quick", "late", "guest"):
        version = pathlib.Path(folder) / name / "1"
        version.mkdir(parents=True)
        serving.identity_model(version / "model.onnx")
    (pathlib.Path(folder) / "late" / "config.pbtxt").write_text(CONFIG)
    grey_detector(pathlib.Path(folder) / "grey/1/model.onnx")
    pipeline(pathlib.Path(folder), "boxes", "grey")
    return folder


def start(folder, certificates=None):
    """A server whose clients load models: `quick` answers at once, `late` gathers batches, `guest` is free to come and go,
    `grey` finds how bright pictures are, `boxes` is a pipeline of it. `certificates`: a folder for those of gRPC, which has
    TLS then."""
    names = [word for name in ("quick", "late", "guest", "boxes", "grey") for word in ("--load-model", name)]
    options = ["--http-max-input-size", MOST_BODY, "--request-timeout-secs", REQUEST_S]
    if certificates:
        make_certificates(certificates)
        options += ["--grpc-use-ssl", "true", "--grpc-server-cert", certificates / "server.pem"]
        options += ["--grpc-server-key", certificates / "server.key"]
    server = serving.Server("--model-repository", folder, "--model-control-mode", "explicit", *names, *options)
    server.root = certificates and certificates / "ca.pem"
    return server


def resident_kib(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def slope(samples):
    """KiB a minute by least squares over (seconds, KiB)."""
    times, sizes = np.array(samples, float).T
    return 60 * np.polyfit(times, sizes, 1)[0] if len(samples) > 1 else 0.0


class Connection:
    """A connection that is read by whole answers."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.http), ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """Status and body; None when the connection was ended instead."""
        head = self.file.readline()
        if not head:
            return None
        size = 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return int(head.split()[1]), self.file.read(size)

    def ended(self):
        """Whether nothing more comes."""
        return not self.file.read(1)

    def close(self, reset=False):
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.file.close()
        self.socket.close()


def post(path, body, more="", method="POST"):
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def infer(model, name, values):
    inputs = [{"name": "INPUT0", "shape": [1, 16], "datatype": "FP32", "data": values}]
    return post(f"/v2/models/{model}/infer", json.dumps({"id": name, "inputs": inputs}).encode())


KINDS = ["good", "pipelined", "grpc", "broken", "slow", "half_closed", "oversized", "cancelled", "guest"]
KINDS += ["handshakes", "routed", "pictures", "pipeline"]
GREYS = {grey: picture(grey, 16 + grey, 16 + grey) for grey in range(0, 256, 15)}  # pictures by how bright they are


class Traffic:
    """Workers of every kind, until they are told to stop. `failures`: sentences; `counts`: by kind."""

    def __init__(self, server, workers=1):
        self.server, self.stopping, self.lock = server, threading.Event(), threading.Lock()
        self.failures, self.counts, self.answered = [], collections.Counter(), collections.Counter()
        self.serial = 0
        self.threads = [threading.Thread(target=self.work, args=(kind, i)) for kind in KINDS for i in range(workers)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                self.failures.append("a worker does not end: an answer is missing")
        twice = [name for name, n in self.answered.items() if n != 1]
        if twice:
            self.failures.append(f"answered twice: {twice[:5]}")

    def work(self, kind, index):
        rng = random.Random(f"{kind} {index}")
        while not self.stopping.is_set():
            try:
                getattr(self, kind)(rng)
                with self.lock:
                    self.counts[kind] += 1
                self.stopping.wait(PAUSE_S)
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(f"{kind}: {type(error).__name__}: {error}")
                return

    def name(self):
        with self.lock:
            self.serial += 1
            return f"r{self.serial}"

    def check(self, answer, name, values):
        assert answer is not None, f"{name}: no answer"
        status, body = answer
        assert status == 200, f"{name}: {status} {body[:200]}"
        found = json.loads(body)
        assert found["id"] == name, f"{name}: the answer is for {found['id']}"
        assert found["outputs"][0]["data"] == values, f"{name}: {found['outputs']}"
        with self.lock:
            self.answered[name] += 1
            if len(self.answered) > 100000:  # what is known to be answered once need not be remembered for hours
                self.answered = collections.Counter({k: n for k, n in self.answered.items() if n != 1})

    def good(self, rng):
        connection = Connection(self.server)
        for _ in range(rng.randrange(1, 20)):
            name, values = self.name(), [rng.randrange(1000) for _ in range(16)]
            connection.send(infer(rng.choice(["quick", "late"]), name, values))
            self.check(connection.answer(), name, values)
        connection.close()

    def pipelined(self, rng):
        connection = Connection(self.server)
        asked = [(self.name(), [rng.randrange(1000) for _ in range(16)]) for _ in range(8)]
        connection.send(b"".join(infer(rng.choice(["quick", "late"]), *one) for one in asked))
        for one in asked:
            self.check(connection.answer(), *one)
        connection.close()

    def grpc(self, rng):
        import tritonclient.grpc as triton

        root = self.server.root
        tls = {"ssl": True, "root_certificates": str(root)} if root else {}
        with contextlib.closing(triton.InferenceServerClient(self.server.grpc_url, **tls)) as client:
            for _ in range(20):
                name, values = self.name(), np.array([[rng.randrange(1000) for _ in range(16)]], np.float32)
                tensor = triton.InferInput("INPUT0", [1, 16], "FP32")
                tensor.set_data_from_numpy(values)
                got = client.infer(rng.choice(["quick", "late"]), [tensor], request_id=name, client_timeout=ANSWER_S)
                assert got.get_response().id == name
                assert (got.as_numpy("OUTPUT0") == values).all()

    def broken(self, rng):
        connection = Connection(self.server)
        data, statuses = rng.choice(
            [
                (infer("nobody", "x", [1] * 16), (404,)),
                (infer("quick", "x", [1] * 15), (400,)),
                (post("/v2/models/quick/infer", b'{"inputs":['), (400,)),
                (post("/v2/models/quick/infer", rng.randbytes(100)), (400,)),
                (post("/v2/models/quick/infer", b"{}", "Inference-Header-Content-Length: 99\r\n"), (400,)),
                (post("/v2/models/quick/infer", rng.randbytes(50), "Content-Encoding: gzip\r\n"), (400,)),
                (b"NONSENSE\r\n\r\n", (400,)),
                (b"GET /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", (400,)),
                (b"GET /v2/../etc HTTP/1.1\r\nHost: x\r\n\r\n", (400, 404)),
                (rng.randbytes(64).replace(b"\n", b" ") + b"\r\n\r\n", (400,)),
            ]
        )
        connection.send(data)
        answer = connection.answer()
        assert answer and answer[0] in statuses, f"{data[:100]}: {answer}"
        connection.close()

    def slow(self, rng):
        connection = Connection(self.server)
        name, values = self.name(), [1] * 16
        data = infer("quick", name, values)
        if rng.random() < 0.5:  # slow, but it comes to an end in time
            for at in range(0, len(data), 40):
                connection.send(data[at : at + 40])
                time.sleep(0.005)
            self.check(connection.answer(), name, values)
        else:
            connection.send(data[: rng.randrange(1, len(data))])
            if rng.random() < 0.5:
                answer = connection.answer()  # the server says so, or ends it
                assert answer is None or answer[0] == 408, answer
        connection.close()

    def half_closed(self, rng):
        connection = Connection(self.server)
        name, values = self.name(), [2] * 16
        connection.send(infer(rng.choice(["quick", "late"]), name, values))
        connection.socket.shutdown(socket.SHUT_WR)
        self.check(connection.answer(), name, values)
        assert connection.ended()
        connection.close()

    def oversized(self, rng):
        connection = Connection(self.server)
        path = "/v2/models/quick/infer"
        chunked = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        chunk = b"%x\r\n%s\r\n" % (MOST_BODY // 2, bytes(MOST_BODY // 2))
        with contextlib.suppress(ConnectionError):  # the server may be done with us before we are
            connection.send(post(path, bytes(MOST_BODY + 1)) if rng.random() < 0.5 else chunked + 3 * chunk)
        with contextlib.suppress(ConnectionError):
            answer = connection.answer()
            assert answer is None or answer[0] == 400, answer
        connection.close()

    def cancelled(self, rng):
        connection = Connection(self.server)
        for _ in range(4):
            connection.send(infer("late", "left", [3] * 16))
        time.sleep(rng.random() * 0.02)
        connection.close(reset=rng.random() < 0.5)

    def guest(self, rng):
        """A model that comes and goes: its requests are answered, or told that it is not there."""
        connection = Connection(self.server)
        for what in ("unload", "load"):
            values = [4] * 16
            connection.send(post(f"/v2/repository/models/guest/{what}", b""))
            status, body = connection.answer()
            assert status == 200, body
            connection.send(infer("guest", self.name(), values))
            status, body = connection.answer()
            assert status in ((200,) if what == "load" else (400, 404)), body
        connection.close()


    def handshakes(self, rng):
        """Of TLS, that stop or are none, and one that is followed by nothing."""
        address = "127.0.0.1", self.server.grpc
        with socket.create_connection(address, ANSWER_S) as raw, contextlib.suppress(OSError):
            way = rng.randrange(3)
            if way == 2 and self.server.root:
                context = ssl.create_default_context(cafile=self.server.root)
                context.set_alpn_protocols(["h2"])
                with context.wrap_socket(raw, server_hostname="127.0.0.1") as secure:
                    assert secure.selected_alpn_protocol() == "h2"
            else:
                hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
                raw.sendall(hello if way else rng.randbytes(100))
                if not way:
                    raw.recv(100)

    def routed(self, rng):
        """By rules that are set anew now and then, with shadows; documents that are none change nothing."""
        connection = Connection(self.server)
        names = ["quick", "late"]
        target = [{"model": name, "weight": rng.randrange(1, 9)} for name in names]
        rng.shuffle(names)
        shadow = {"name": "s", "of": {"model": names[0]}, "to": {"model": names[1]}, "share": rng.random()}
        document = json.dumps({"rules": [{"to": target}], "shadows": [shadow]}).encode()
        good = rng.random() < 0.8
        connection.send(post("/v2/routes", document if good else document[: rng.randrange(len(document))], method="PUT"))
        status, body = connection.answer()
        assert status == (200 if good else 400), body
        for _ in range(8 if good else 0):
            name, values = self.name(), [rng.randrange(1000) for _ in range(16)]
            connection.send(infer("@route", name, values))
            self.check(connection.answer(), name, values)
        connection.close()

    def pictures(self, rng):
        """Good ones, one of which is drawn on, broken ones, and clients that leave."""
        connection = Connection(self.server)
        grey, data = rng.choice(list(GREYS.items()))
        connection.send(post("/v2/models/grey/detect?conf=0.5", data))
        status, body = connection.answer()
        assert status == 200, body
        found = [detection["confidence"] for detection in json.loads(body)["detections"]]
        assert len(found) == (grey > 127) and all(abs(score - grey / 255) < 1e-5 for score in found), (grey, found)
        connection.send(post("/v2/models/grey/detect", data[: rng.randrange(1, len(data) - 20)]))
        assert connection.answer()[0] == 400
        connection.send(post("/v2/models/grey/detect?annotate=1&format=png", data))
        status, body = connection.answer()
        assert status == 200 and cv2.imdecode(np.frombuffer(body, np.uint8), 1).shape == (16 + grey, 16 + grey, 3)
        connection.send(post("/v2/models/grey/detect", data))
        connection.close(reset=rng.random() < 0.5)

    def pipeline(self, rng):
        connection = Connection(self.server)
        for _ in range(4):
            grey, data = rng.choice(list(GREYS.items()))
            connection.send(post("/v2/models/boxes/infer", data, "Inference-Header-Content-Length: 0\r\n"))
            status, body = connection.answer()
            assert status == 200, body
            outputs = json.JSONDecoder().raw_decode(body.decode("latin1"))[0]["outputs"]
            shapes = {output["name"]: output["shape"] for output in outputs}
            assert shapes["SCORES"] == [int(grey > 63)], (grey, shapes)
        connection.send(post("/v2/models/boxes/infer", data[:50], "Inference-Header-Content-Length: 0\r\n"))
        assert connection.answer()[0] == 400
        connection.close()


def watch(server, seconds, samples=None):
    """Resident memory over so many seconds: (second, KiB)."""
    samples = [] if samples is None else samples
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        samples.append((now, resident_kib(server)))
        time.sleep(SAMPLE_S)
    return samples


def mixed(server, seconds, workers=1, warm_up=0.3):
    """Failures, counts by kind, and the memory after the warm-up."""
    traffic = Traffic(server, workers)
    samples = watch(server, seconds)
    traffic.stop()
    return traffic.failures, traffic.counts, [s for s in samples if s[0] >= warm_up * seconds]


def idle(server, n):
    """KiB a connection, of n that have asked once and say nothing after; all of them are answered again, and closed."""
    question = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    before, connections = resident_kib(server), []
    for _ in range(n):
        connection = socket.create_connection(("127.0.0.1", server.http), ANSWER_S)
        connection.sendall(question)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connections.append(connection)
    each = (resident_kib(server) - before) / n
    for connection in connections:
        connection.sendall(question)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.close()
    return each


def reloads(server, n, warm_up=0.2):
    """Memory over n loads and unloads of `guest`, by their number: (number, KiB)."""
    connection, samples = Connection(server), []
    for i in range(n):
        for what in ("unload", "load"):
            connection.send(post(f"/v2/repository/models/guest/{what}", b""))
            status, body = connection.answer()
            assert status == 200, body
        connection.send(infer("guest", "x", [1] * 16))
        assert connection.answer()[0] == 200
        samples.append((i, resident_kib(server)))
    connection.close()
    return samples[int(warm_up * n) :]


def grown(samples):
    """KiB from the first to the last third."""
    sizes = [size for _, size in samples]
    third = max(1, len(sizes) // 3)
    return float(np.median(sizes[-third:]) - np.median(sizes[:third]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--idle", type=int, default=10000)
    parser.add_argument("--reloads", type=int, default=1000)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        certificates = pathlib.Path(folder, "certificates")
        certificates.mkdir()
        server = start(make_repository(pathlib.Path(folder, "models")), certificates)
        try:
            failures, counts, samples = mixed(server, options.minutes * 60)
            each = idle(server, options.idle)
            loads = reloads(server, options.reloads)
        finally:
            code, log = server.stop()
    rows = {
        "minutes": options.minutes,
        "done": dict(counts),
        "mixed_kib": [samples[0][1], samples[-1][1]],
        "mixed_grown_kib": grown(samples),
        "mixed_slope_kib_a_minute": round(slope(samples), 1),
        "idle_connections": options.idle,
        "idle_kib_each": round(each, 3),
        "reloads": options.reloads,
        "reloads_grown_kib": grown(loads),
    }
    print(json.dumps(rows, indent=2))
    if options.json:
        options.json.write_text(json.dumps({**rows, "samples": samples, "reloads_samples": loads}))
    if code != 0:
        failures.append(f"the server ended with {code}: {log[-500:]}")
    for what in ("mixed_grown_kib", "reloads_grown_kib"):
        if rows[what] > GROWN_KIB:
            failures.append(f"{what} is {rows[what]}, at most {GROWN_KIB}")
    for failure in failures:
        print("FAILED", failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
