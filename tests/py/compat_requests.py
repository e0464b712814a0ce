"""The requests that Slipway and the real Triton are compared with (compat.py), and the models that they are for."""

import dataclasses
import gzip
import json
import struct
import zlib

import numpy as np
from tritonclient.grpc import service_pb2 as pb

import real_triton

ELEMENTS = {"BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8}
ELEMENTS |= {"FP16": 2, "FP32": 4, "FP64": 8}
SHARED_KEY = "/slipway_compat"
LABELS = "".join(f"label{i}\n" for i in range(16))


def write_models(repository, backend):
    """All models; `backend`: "python" for Triton, "identity" for Slipway."""
    from onnx import TensorProto, helper, save

    def identity(name, max_batch, ports, more="", versions=(1,)):
        outputs = [(f"OUTPUT{i}", dtype, dims) for i, (_, dtype, dims, *_) in enumerate(ports)]
        real_triton.write_config(repository / name, backend, max_batch, ports, outputs, more)
        real_triton.write_python(repository / name, "x", versions)

    identity("identity", 64, [("INPUT0", "FP32", [16])], "dynamic_batching { }\n")
    identity("versions", 8, [("INPUT0", "FP32", [4])], "version_policy { specific { versions: [1, 3] } }\n", (1, 2, 3))
    identity("latest", 8, [("INPUT0", "FP32", [4])], versions=(2, 10))
    identity("wide", 0, [("INPUT0", "FP32", [-1, -1])])
    identity("line", 0, [("INPUT0", "FP32", [-1])])
    identity("three", 8, [(f"INPUT{i}", "INT32", [4]) for i in range(3)])
    for dtype in ELEMENTS:
        identity(f"any_{dtype.lower()}", 0, [("INPUT0", dtype, [-1])])
    identity("text", 4, [("INPUT0", "STRING", [-1])])
    # A sum and a difference, with labels for classes of the sum.
    ports = [[(f"{kind}{i}", "INT32", [16]) for i in range(2)] for kind in ("INPUT", "OUTPUT")]
    labelled = [(*ports[1][0], 'label_filename: "labels.txt"'), ports[1][1]]
    folder = repository / "addsub"
    kind = "python" if backend == "python" else "onnxruntime"
    real_triton.write_config(folder, kind, 8, ports[0], labelled, "dynamic_batching { }\n")
    (folder / "labels.txt").write_text(LABELS)
    real_triton.write_python(folder, "[x[0] + x[1], x[0] - x[1]]")
    if backend != "python":
        nodes = [helper.make_node(kind, ["INPUT0", "INPUT1"], [f"OUTPUT{i}"]) for i, kind in enumerate(("Add", "Sub"))]
        values = [
            [helper.make_tensor_value_info(f"{kind}{i}", TensorProto.INT32, ["n", 16]) for i in range(2)]
            for kind in ("INPUT", "OUTPUT")
        ]
        graph = helper.make_graph(nodes, "addsub", *values)
        opset = [helper.make_opsetid("", 17)]
        save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "1/model.onnx")
    # addsub, and the identity of both of its outputs.
    steps = (
        'ensemble_scheduling { step { model_name: "addsub" model_version: -1 '
        'input_map { key: "INPUT0" value: "A" } input_map { key: "INPUT1" value: "B" } '
        'output_map { key: "OUTPUT0" value: "SUM" } output_map { key: "OUTPUT1" value: "D" } } '
        'step { model_name: "addsub" model_version: -1 '
        'input_map { key: "INPUT0" value: "SUM" } input_map { key: "INPUT1" value: "D" } '
        'output_map { key: "OUTPUT0" value: "TWICE_A" } } }\n'
    )
    real_triton.write_config(
        repository / "pair",
        "",
        8,
        [("A", "INT32", [16]), ("B", "INT32", [16])],
        [("TWICE_A", "INT32", [16])],
        'platform: "ensemble"\n' + steps,
    )
    (repository / "pair/1").mkdir(exist_ok=True)
    (repository / "broken/1").mkdir(parents=True)
    (repository / "broken/config.pbtxt").write_text(f'backend: "{backend}"\nno_such_key: 1\n')


@dataclasses.dataclass
class Case:
    """One request. `what`: bytes over HTTP, (method's name, message) or (method's name, [message...]) over gRPC."""

    name: str
    what: object
    values: bool = True  # compare values, too, not only keys


def http(name, method, path, body=b"", headers=(), values=True, version="1.1", host=True, length=True):
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    body = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {path} HTTP/{version}"] + ["Host: localhost"] * host
    lines += [f"{key}: {value}" for key, value in dict(headers).items()]
    if length and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return Case(name, "\r\n".join(lines).encode() + b"\r\n\r\n" + body, values)


FLOATS = [float(i) for i in range(16)]
X = np.array(FLOATS, np.float32)


def tensor(name="INPUT0", shape=(1, 16), datatype="FP32", data=FLOATS, **more):
    made = {"name": name, "shape": list(shape), "datatype": datatype}
    return made | ({} if data is None else {"data": data}) | more


def infer(name, inputs, model="identity", headers=(), values=True, tail=b"", path="infer", **more):
    """A request for inference; with `tail` (raw tensors) after the JSON, its header says where that ends."""
    text = json.dumps({"inputs": inputs} | more).encode()
    headers = dict(headers)
    if tail:
        headers.setdefault("Inference-Header-Content-Length", len(text))
    return http(name, "POST", f"/v2/models/{model}/{path}", text + tail, headers, values)


def text_infer(name, body, headers=(), model="identity"):
    return http(name, "POST", f"/v2/models/{model}/infer", body, headers)


def chunked(body, sizes):
    out = b""
    for size in sizes:
        out += b"%x\r\n" % size + body[:size] + b"\r\n"
        body = body[size:]
    return out + b"0\r\n\r\n"


def nested(depth):
    return '{"a":' + "[" * depth + "]" * depth + "}"


def status_cases():
    get = lambda path, **more: http(f"GET {path}", "GET", path, **more)
    for path in ("/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "/v2/health/ready/", "/v2/health"):
        yield get(path, values=path not in ("/v2", "/v2/"))
    for model in ("identity", "addsub", "versions", "latest", "wide", "pair", "text", "three"):
        yield get(f"/v2/models/{model}")
    for model in ("identity", "addsub", "versions", "pair"):
        yield get(f"/v2/models/{model}/config", values=False)
        yield get(f"/v2/models/{model}/stats", values=False)
        yield get(f"/v2/models/{model}/ready")
    for path in ("", "/ready", "/config", "/stats"):
        yield get(f"/v2/models/nosuch{path}")
        yield get(f"/v2/models/broken{path}")
        for version in ("1", "2", "3", "9", "01", "99999999999999999999"):
            yield get(f"/v2/models/versions/versions/{version}{path}", values=path in ("", "/ready"))
        yield get(f"/v2/models/versions/versions/one{path}")
        yield get(f"/v2/models/versions/versions/-1{path}")
    yield get("/v2/models/stats", values=False)
    yield get("/v2/models")
    yield get("/v2/models/")
    yield get("/v2/models/identity/")
    yield get("/v2/models/identity/nosuch")
    yield get("/v2/models/identity/versions")
    yield get("/v2/models/identity?x=1")
    yield get("/v2/models/ident%69ty")
    yield get("/v2/models/..%2f..%2fetc")
    yield get("/v2/models/%00")
    yield get("/v1/models")
    yield get("/v3")
    yield get("/nosuch")
    yield get("//v2")
    yield get("/V2")
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        for path in ("/v2", "/v2/health/live", "/v2/models/identity", "/v2/models/identity/ready", "/v2/models/stats"):
            yield http(f"{method} {path}", method, path, values=False)
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        for path in ("/v2/models/identity/infer", "/v2/repository/index", "/v2/repository/models/x/load"):
            yield http(f"{method} {path}", method, path)
    yield http("ready in HTTP/1.0", "GET", "/v2/health/ready", version="1.0", host=False)
    yield http("metadata in HTTP/1.0", "GET", "/v2/models/identity", version="1.0", host=False)
    yield http("metadata without Host", "GET", "/v2/models/identity", host=False)
    yield http("ready with a body", "GET", "/v2/health/ready", "{}")
    for coding in ("gzip", "deflate", "br", "gzip, deflate", "deflate;q=0.5, gzip", "identity", "*", "gzip;q=0"):
        yield http(
            f"metadata, Accept-Encoding {coding}", "GET", "/v2/models/identity", headers={"Accept-Encoding": coding}
        )


def json_cases():
    yield infer("JSON", [tensor()])
    yield infer("JSON, id", [tensor()], id="seven")
    yield infer("JSON, id a number", [tensor()], id=7)
    yield infer("JSON, id empty", [tensor()], id="")
    yield infer("JSON, nested data", [tensor(shape=(2, 16), data=[FLOATS, FLOATS])])
    yield infer("JSON, flat data of two", [tensor(shape=(2, 16), data=FLOATS * 2)])
    yield infer("JSON, integers as floats", [tensor(data=list(range(16)))])
    yield infer("JSON, of version 1", [tensor()], "identity/versions/1")
    yield infer("JSON, of version 2", [tensor()], "identity/versions/2")
    yield infer("JSON, of no model", [tensor()], "nosuch")
    yield infer("JSON, of a broken model", [tensor()], "broken")
    four = [1.0, 2.0, 3.0, 4.0]
    for version in ("", "/versions/1", "/versions/2", "/versions/3"):
        yield infer(f"versions{version}", [tensor(shape=(1, 4), data=four)], "versions" + version)
    yield infer("latest", [tensor(shape=(1, 4), data=four)], "latest")
    wrong = {
        "of 15": ((1, 16), FLOATS[1:]),
        "of 17": ((1, 16), FLOATS + [1.0]),
        "empty": ((1, 16), []),
        "texts": ((1, 16), ["a"] * 16),
        "null": ((1, 16), [None] * 16),
        "a text": ((1, 16), "abc"),
        "a number": ((1, 16), 7),
        "an object": ((1, 16), {"a": 1}),
        "booleans": ((1, 16), [True] * 16),
        "nested unevenly": ((2, 16), [FLOATS + FLOATS[:4], FLOATS[4:]]),
    }
    for name, (shape, data) in wrong.items():
        yield infer(f"JSON, data {name}", [tensor(shape=shape, data=data)])
    shapes = ((1, 15), (16,), (1, 1, 16), (), (0, 16), (65, 16), (-1, 16), (2**62, 16), (1, "16"), (1.5, 16))
    for shape in shapes:
        n = 65 * 16 if shape == (65, 16) else 0 if shape == (0, 16) else 15 if shape == (1, 15) else 16
        yield infer(f"JSON, shape {list(shape)}", [tensor(shape=shape, data=[1.0] * n)])
    yield infer("JSON, shape a number", [tensor() | {"shape": 16}])
    for datatype in ("INT32", "FP64", "BYTES", "FP17", "fp32", ""):
        yield infer(f"JSON, datatype {datatype}", [tensor(datatype=datatype, data=[1] * 16)])
    yield infer("JSON, datatype a number", [tensor() | {"datatype": 7}])
    for key in ("name", "shape", "datatype", "data"):
        yield infer(f"JSON, no {key}", [{k: v for k, v in tensor().items() if k != key}])
    yield infer("JSON, an unknown key in the input", [tensor(colour="red")])
    yield infer("JSON, an unknown key", [tensor()], colour="red")
    yield infer("JSON, an unknown input", [tensor("INPUT9")])
    yield infer("JSON, one input too many", [tensor(), tensor("INPUT9")])
    yield infer("JSON, an input twice", [tensor(), tensor()])
    yield infer("JSON, no inputs", [])
    yield infer("JSON, inputs an object", {})
    yield infer("JSON, an input that is a number", [7])
    yield text_infer("no body", "")
    yield text_infer("an empty object", "{}")
    yield text_infer("an array", "[]")
    yield text_infer("a text", '"abc"')
    yield text_infer("null", "null")
    yield text_infer("no JSON", "hello")
    yield text_infer("JSON cut off", json.dumps({"inputs": [tensor()]})[:-5])
    yield text_infer("JSON and more", json.dumps({"inputs": [tensor()]}) + "xyz")
    yield text_infer("a JSON comment", "/* */ {}")
    yield text_infer("a comma too many", '{"inputs":[],}')
    yield text_infer("single quotes", "{'inputs':[]}")
    yield text_infer("no UTF-8", b'{"id":"\xff","inputs":[]}')
    yield text_infer("nested 50 deep", nested(50))
    yield text_infer("nested 120 deep", nested(120))
    body = json.dumps({"inputs": [tensor()]})
    yield text_infer("NaN and infinities", body.replace("[0.0, 1.0, 2.0", "[NaN, Infinity, -Infinity"))
    yield text_infer("too large for a float", body.replace("2.0", "1e40"))
    yield text_infer("too large for a double", body.replace("2.0", "1e400"))
    for kind in ("application/octet-stream", "text/plain", "application/x-www-form-urlencoded", "nonsense"):
        yield text_infer(f"Content-Type {kind}", body, {"Content-Type": kind})


def output_cases():
    outputs = lambda *rows: {"outputs": [dict(row) for row in rows]}
    two = [tensor(f"INPUT{i}", datatype="INT32", data=list(range(i, 16 + i))) for i in range(2)]
    yield infer("addsub", two, "addsub")
    yield infer("addsub, inputs the other way round", two[::-1], "addsub")
    yield infer("addsub, an input missing", two[:1], "addsub")
    yield infer("addsub, batches that differ", [two[0], tensor("INPUT1", (2, 16), "INT32", [1] * 32)], "addsub")
    yield infer("addsub, one output", two, "addsub", **outputs({"name": "OUTPUT1"}))
    yield infer(
        "addsub, outputs in the other order", two, "addsub", **outputs({"name": "OUTPUT1"}, {"name": "OUTPUT0"})
    )
    yield infer("addsub, no such output", two, "addsub", **outputs({"name": "OUTPUT9"}))
    yield infer("addsub, an output twice", two, "addsub", **outputs({"name": "OUTPUT0"}, {"name": "OUTPUT0"}))
    yield infer("addsub, outputs empty", two, "addsub", outputs=[])
    yield infer("addsub, an output without name", two, "addsub", **outputs({}))
    yield infer("addsub, outputs an object", two, "addsub", outputs={})
    for k in (0, 1, 3, 16, 17, -1, "2", 1.5, True):
        asked = {"name": "OUTPUT0", "parameters": {"classification": k}}
        yield infer(f"classification {k!r}", two, "addsub", **outputs(asked))
    both = {"name": "OUTPUT0", "parameters": {"classification": 2, "binary_data": True}}
    yield infer("classification, binary", two, "addsub", **outputs(both))
    yield infer(
        "classification without labels",
        two,
        "addsub",
        **outputs({"name": "OUTPUT1", "parameters": {"classification": 2}}),
    )
    batch = [tensor(f"INPUT{i}", (2, 16), "INT32", list(range(32))) for i in range(2)]
    yield infer(
        "classification of a batch",
        batch,
        "addsub",
        **outputs({"name": "OUTPUT0", "parameters": {"classification": 2}}),
    )
    for value in (True, False, "yes", 1):
        yield infer(
            f"binary_data {value!r}",
            two,
            "addsub",
            **outputs({"name": "OUTPUT0", "parameters": {"binary_data": value}}),
        )
    yield infer(
        "binary_data of one of two",
        two,
        "addsub",
        **outputs({"name": "OUTPUT0", "parameters": {"binary_data": True}}, {"name": "OUTPUT1"}),
    )
    for value in (True, False, "yes"):
        yield infer(f"binary_data_output {value!r}", two, "addsub", parameters={"binary_data_output": value})
    mixed = {"name": "OUTPUT0", "parameters": {"binary_data": False}}
    yield infer(
        "binary_data_output, an output that is not",
        two,
        "addsub",
        parameters={"binary_data_output": True},
        **outputs(mixed, {"name": "OUTPUT1"}),
    )
    region = {"shared_memory_region": "r", "shared_memory_byte_size": 64}
    yield infer("an output in shared memory", two, "addsub", **outputs({"name": "OUTPUT0", "parameters": region}))
    yield infer("an input in shared memory", [tensor(data=None, parameters=region)])
    yield infer(
        "ensemble",
        [tensor("A", datatype="INT32", data=list(range(16))), tensor("B", datatype="INT32", data=[5] * 16)],
        "pair",
    )
    yield infer("ensemble, an input missing", [tensor("A", datatype="INT32", data=list(range(16)))], "pair")
    parameters = (
        {"priority": 1}, {"priority": 0}, {"priority": "high"}, {"priority": -1}, {"timeout": 1000000}, {"timeout": "x"},
        {"mine": "text"}, {"mine": 7}, {"mine": 1.5}, {"mine": True}, {"mine": None}, {"mine": [1]}, {"mine": {"a": 1}},
        {"triton_mine": 1}, {"triton_enable_empty_final_response": True}, {"sequence_id": 5}, {"sequence_id": "five"},
        {"sequence_id": 5, "sequence_start": True, "sequence_end": True}, {"sequence_start": True}, {"sequence_id": 1.5},
        {"headers": "x"}, {},
    )  # fmt: skip
    for each in parameters:
        yield infer(f"parameters {each}", [tensor()], parameters=each)
    yield infer("parameters an array", [tensor()], parameters=[])
    yield infer("parameters a text", [tensor()], parameters="x")


def binary_cases():
    raw = X.tobytes()
    row = lambda n=64, **more: tensor(data=None, parameters={"binary_data_size": n}, **more)
    yield infer("binary", [row()], tail=raw)
    yield infer("binary, answered so", [row()], tail=raw, parameters={"binary_data_output": True})
    for n, size in ((64, 60), (64, 68), (60, 60), (60, 64), (128, 128), (0, 64), (2**40, 64), (-1, 64)):
        yield infer(f"binary_data_size {n}, {size} bytes", [row(n)], tail=(raw * 2)[:size])
    for n in ("64", 1.5, True, None):
        yield infer(f"binary_data_size {n!r}", [row(n)], tail=raw)
    yield infer("binary_data_size and data", [tensor(parameters={"binary_data_size": 64})], tail=raw)
    yield infer("raw bytes without binary_data_size", [tensor(data=None)], tail=raw)
    yield infer("JSON, and bytes that nobody wants", [tensor()], tail=b"1234")
    yield infer(
        "binary, two inputs",
        [tensor(f"INPUT{i}", data=None, datatype="INT32", parameters={"binary_data_size": 64}) for i in range(2)],
        "addsub",
        tail=np.arange(32, dtype=np.int32).tobytes(),
    )
    mixed = [
        tensor("INPUT0", data=None, datatype="INT32", parameters={"binary_data_size": 64}),
        tensor("INPUT1", datatype="INT32", data=[1] * 16),
    ]
    yield infer("binary and JSON mixed", mixed, "addsub", tail=np.arange(16, dtype=np.int32).tobytes())
    body = json.dumps({"inputs": [row()]}).encode()
    for size in (
        str(len(body) - 1),
        str(len(body) + 1),
        str(len(body) + 1000),
        "-1",
        "x",
        "",
        "99999999999999999999",
        "+5",
    ):
        name = {len(body) - 1: "one less", len(body) + 1: "one more", len(body) + 1000: "beyond the body"}.get(
            int(size) if size.isdigit() else None, repr(size)
        )
        yield text_infer(
            f"Inference-Header-Content-Length {name}", body + raw, {"Inference-Header-Content-Length": size}
        )
    text = json.dumps({"inputs": [tensor()]})
    yield text_infer(
        "Inference-Header-Content-Length, JSON alone", text, {"Inference-Header-Content-Length": len(text)}
    )
    bare = {"Inference-Header-Content-Length": 0}
    for model, size in (
        ("identity", 64),
        ("identity", 60),
        ("identity", 128),
        ("identity", 0),
        ("line", 64),
        ("line", 63),
        ("line", 0),
        ("wide", 64),
        ("addsub", 64),
        ("three", 16),
        ("text", 64),
    ):
        yield text_infer(f"raw bytes alone: {size} for {model}", (raw * 2)[:size], bare, model)
    for dtype, size in ELEMENTS.items():
        data = bytes([0, 1] * 4) if dtype == "BOOL" else bytes(size) + b"\1" + bytes(2 * size - 1)
        n = len(data) // size
        named = tensor(shape=(n,), datatype=dtype, data=None, parameters={"binary_data_size": len(data)})
        yield infer(
            f"binary {dtype}", [named], f"any_{dtype.lower()}", tail=data, parameters={"binary_data_output": True}
        )
        yield infer(f"binary {dtype}, answered in JSON", [named], f"any_{dtype.lower()}", tail=data)
        for what, value in (
            ("1", 1),
            ("-1", -1),
            ("300", 300),
            ("1.5", 1.5),
            ("true", True),
            ("2**64", 2**64),
            ("text", "a"),
        ):
            yield infer(
                f"JSON {dtype}: {what}", [tensor(shape=(1,), datatype=dtype, data=[value])], f"any_{dtype.lower()}"
            )
    words = struct.pack("<I3sI2s", 3, b"abc", 2, b"\xff\0")
    named = tensor(shape=(1, 2), datatype="BYTES", data=None, parameters={"binary_data_size": len(words)})
    yield infer("binary BYTES", [named], "text", tail=words, parameters={"binary_data_output": True})
    yield infer("JSON BYTES", [tensor(shape=(1, 2), datatype="BYTES", data=["abc", 'd\u00e9\n"'])], "text")
    yield infer("JSON BYTES, one short", [tensor(shape=(1, 3), datatype="BYTES", data=["abc", "d"])], "text")
    yield infer("JSON BYTES, numbers", [tensor(shape=(1, 2), datatype="BYTES", data=[1, 2])], "text")
    for what, data in (
        ("cut off", words[:-1]),
        ("one more than its shape", words + words[:7]),
        ("one less", words[:7]),
        ("a length beyond", struct.pack("<I", 2**31) + b"abc"),
    ):
        named = tensor(shape=(1, 2), datatype="BYTES", data=None, parameters={"binary_data_size": len(data)})
        yield infer(f"binary BYTES, {what}", [named], "text", tail=data)
    for shape in ((2**4, 2**60 + 2), (-1, 4), (0, 4), (4, 0)):
        n = 16 if 0 not in shape else 0
        yield infer(f"wide, shape {list(shape)}", [tensor(shape=shape, data=FLOATS[:n])], "wide")


def coding_cases():
    body = json.dumps({"inputs": [tensor()]}).encode()
    packed = {"gzip": gzip.compress(body, mtime=0), "deflate": zlib.compress(body)}
    for coding, data in packed.items():
        yield text_infer(f"body in {coding}", data, {"Content-Encoding": coding})
        yield text_infer(f"body in {coding}, cut off", data[:-9], {"Content-Encoding": coding})
        yield text_infer(f"body that is no {coding}", body, {"Content-Encoding": coding})
        yield text_infer(f"answer in {coding}", body, {"Accept-Encoding": coding})
    yield text_infer("body in br", body, {"Content-Encoding": "br"})
    yield text_infer("body in identity", body, {"Content-Encoding": "identity"})
    yield text_infer("body in GZIP", packed["gzip"], {"Content-Encoding": "GZIP"})
    yield text_infer("body in gzip, twice", gzip.compress(packed["gzip"], mtime=0), {"Content-Encoding": "gzip, gzip"})
    named = {
        "inputs": [tensor(data=None, parameters={"binary_data_size": 64})],
        "parameters": {"binary_data_output": True},
    }
    text = json.dumps(named).encode()
    size = {"Inference-Header-Content-Length": len(text)}
    yield text_infer("binary in gzip", gzip.compress(text + X.tobytes(), mtime=0), {"Content-Encoding": "gzip"} | size)
    yield text_infer("binary, answered in gzip", text + X.tobytes(), {"Accept-Encoding": "gzip"} | size)
    path = "/v2/models/identity/infer"
    pieces = {"Transfer-Encoding": "chunked"}
    for name, sizes in (("one", [len(body)]), ("many", [1] * len(body)), ("two", [10, len(body) - 10])):
        yield http(f"chunked, {name}", "POST", path, chunked(body, sizes), pieces, length=False)
    yield http("chunked, none", "POST", path, b"0\r\n\r\n", pieces, length=False)
    yield http(
        "chunked, binary", "POST", path, chunked(text + X.tobytes(), [len(text), 64]), pieces | size, length=False
    )
    yield http(
        "chunked, in gzip",
        "POST",
        path,
        chunked(packed["gzip"], [len(packed["gzip"])]),
        pieces | {"Content-Encoding": "gzip"},
        length=False,
    )
    yield http("infer, 100-continue", "POST", path, body, {"Expect": "100-continue"})
    yield http("infer in HTTP/1.0", "POST", path, body, version="1.0")
    yield http("infer, two slashes", "POST", "/v2/models/identity//infer", body)
    yield http("infer, slash at the end", "POST", path + "/", body)
    yield http("infer with a query", "POST", path + "?x=1", body)
    yield http("index with Content-Length 0", "POST", "/v2/repository/index", values=False)
    yield Case(
        "headers in other cases",
        b"POST /v2/models/identity/infer HTTP/1.1\r\nhOST: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body,
    )


def repository_cases():
    post = lambda path, body="", **more: http(f"POST {path} {body}", "POST", path, body, **more)
    index = "/v2/repository/index"
    yield post(index, values=False)
    for body in ("{}", '{"ready":true}', '{"ready":false}', '{"ready":7}', "[]", "hello", '{"x":1}'):
        yield post(index, body, values=False)
    yield post("/v2/repository/nosuch/index", values=False)
    models = "/v2/repository/models"
    yield post(f"{models}/nosuch/load")
    yield post(f"{models}/nosuch/unload")
    yield post(f"{models}/broken/load")
    yield post(f"{models}/line/unload")
    yield http("GET line, unloaded", "GET", "/v2/models/line/ready")
    yield infer("infer with line, unloaded", [tensor(shape=(16,))], "line")
    yield http("stats of line, unloaded", "GET", "/v2/models/line/stats")
    yield post(f"{models}/line/load")
    yield http("GET line, loaded", "GET", "/v2/models/line/ready")
    yield post(f"{models}/line/load", "{}")
    for body in ("[]", "hello", '{"parameters":7}', '{"parameters":{"nosuch":"x"}}', '{"parameters":{"config":7}}',
                 '{"parameters":{"config":"hello"}}', '{"parameters":{"file:1/model.py":"eA=="}}'):  # fmt: skip
        yield post(f"{models}/line/load", body)
    config = {"max_batch_size": 4, "input": [{"name": "INPUT0", "data_type": "TYPE_FP32", "dims": [4]}]}
    config["output"] = [{"name": "OUTPUT0", "data_type": "TYPE_FP32", "dims": [4]}]
    for backend in ("python",):
        text = json.dumps({"parameters": {"config": json.dumps(config | {"backend": "BACKEND"})}})
        yield post(f"{models}/line/load", text)
    yield http("line after its configuration came by load", "GET", "/v2/models/line", values=False)
    yield post(f"{models}/line/load")
    yield post(f"{models}/pair/unload", '{"parameters":{"unload_dependents":"x"}}')
    yield post(f"{models}/pair/unload", '{"parameters":{"unload_dependents":true}}')
    yield post(f"{models}/pair/load")
    yield post(f"{models}/addsub/load")
    for memory in ("systemsharedmemory", "cudasharedmemory"):
        yield http(f"{memory} status", "GET", f"/v2/{memory}/status")
        yield http(f"{memory} status of a region", "GET", f"/v2/{memory}/region/r/status")
        yield post(f"/v2/{memory}/unregister")
        yield post(f"/v2/{memory}/region/r/unregister")
        yield post(f"/v2/{memory}/region/r/register", "{}")
    yield http("trace", "GET", "/v2/trace/setting", values=False)
    yield http("trace of a model", "GET", "/v2/models/identity/trace/setting", values=False)
    yield http("trace of no model", "GET", "/v2/models/nosuch/trace/setting", values=False)
    yield post("/v2/trace/setting", '{"trace_level":["OFF"]}', values=False)
    yield post("/v2/trace/setting", '{"trace_level":["NOSUCH"]}', values=False)
    yield post("/v2/trace/setting", '{"nosuch":"1"}', values=False)
    yield http("logging", "GET", "/v2/logging", values=False)
    yield post("/v2/logging", '{"log_verbose_level":0}', values=False)
    yield post("/v2/logging", '{"log_info":"x"}', values=False)
    yield post("/v2/logging", '{"nosuch":1}', values=False)


# -- gRPC ---------------------------------------------------------------------------------------------------------------


def parameters_of(target, values):
    for key, value in values.items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[type(value)]
        setattr(target[key], kind, value)


def message(model="identity", inputs=None, raw=None, outputs=(), parameters=None, **more):
    """A ModelInferRequest. `inputs`: (name, datatype, shape[, contents]) each; `outputs`: (name, parameters)."""
    request = pb.ModelInferRequest(model_name=model, **more)
    for name, datatype, shape, *contents in [("INPUT0", "FP32", (1, 16))] if inputs is None else inputs:
        made = request.inputs.add(name=name, datatype=datatype, shape=shape)
        for kind, values in (contents[0] if contents else {}).items():
            getattr(made.contents, kind).extend(values)
    for name, values in outputs:
        parameters_of(request.outputs.add(name=name).parameters, values)
    parameters_of(request.parameters, parameters or {})
    request.raw_input_contents.extend([X.tobytes()] if raw is None else raw)
    return request


def grpc_infer_cases():
    call = lambda name, **more: Case("gRPC " + name, ("ModelInfer", message(**more)))
    yield call("infer")
    yield call("infer, id and version", id="seven", model_version="1")
    for version in ("2", "x", "-1", "01", "99999999999999999999"):
        yield call(f"infer, version {version}", model_version=version)
    for model in ("nosuch", "broken", ""):
        yield call(f"infer, model {model!r}", model=model)
    for shape in ((1, 15), (16,), (), (0, 16), (65, 16), (-1, 16), (2**62, 16), (1, 1, 16)):
        size = {(1, 15): 60, (65, 16): 65 * 64, (0, 16): 0}.get(shape, 64)
        yield call(f"infer, shape {list(shape)}", inputs=[("INPUT0", "FP32", shape)], raw=[(X.tobytes() * 65)[:size]])
    for datatype in ("INT32", "FP64", "BYTES", "FP17", ""):
        yield call(f"infer, datatype {datatype!r}", inputs=[("INPUT0", datatype, (1, 16))])
    for size in (0, 60, 68):
        yield call(f"infer, {size} bytes", raw=[(X.tobytes() * 2)[:size]])
    yield call("infer, no raw contents", raw=[])
    yield call("infer, two raw contents", raw=[X.tobytes()] * 2)
    yield call("infer, no inputs", inputs=[], raw=[])
    yield call("infer, raw contents but no inputs", inputs=[])
    yield call("infer, an unknown input", inputs=[("INPUT9", "FP32", (1, 16))])
    yield call("infer, an input twice", inputs=[("INPUT0", "FP32", (1, 16))] * 2, raw=[X.tobytes()] * 2)
    contents = {"fp32_contents": FLOATS}
    yield call("infer, contents", inputs=[("INPUT0", "FP32", (1, 16), contents)], raw=[])
    yield call("infer, contents and raw", inputs=[("INPUT0", "FP32", (1, 16), contents)])
    yield call("infer, contents of 15", inputs=[("INPUT0", "FP32", (1, 16), {"fp32_contents": FLOATS[1:]})], raw=[])
    yield call(
        "infer, contents of another type", inputs=[("INPUT0", "FP32", (1, 16), {"int_contents": [1] * 16})], raw=[]
    )
    two = [("INPUT0", "INT32", (1, 16)), ("INPUT1", "INT32", (1, 16))]
    raw = [np.arange(i, 16 + i, dtype=np.int32).tobytes() for i in range(2)]
    yield call("addsub", model="addsub", inputs=two, raw=raw)
    yield call("addsub, an input missing", model="addsub", inputs=two[:1], raw=raw[:1])
    yield call("addsub, one output", model="addsub", inputs=two, raw=raw, outputs=[("OUTPUT1", {})])
    yield call("addsub, no such output", model="addsub", inputs=two, raw=raw, outputs=[("OUTPUT9", {})])
    yield call("addsub, an output twice", model="addsub", inputs=two, raw=raw, outputs=[("OUTPUT0", {})] * 2)
    for k in (0, 2, 17, -1, "2", True):
        yield call(
            f"classification {k!r}", model="addsub", inputs=two, raw=raw, outputs=[("OUTPUT0", {"classification": k})]
        )
    yield call(
        "an output in shared memory",
        model="addsub",
        inputs=two,
        raw=raw,
        outputs=[("OUTPUT0", {"shared_memory_region": "r", "shared_memory_byte_size": 64})],
    )
    for each in ({"priority": 1}, {"priority": "x"}, {"timeout": 1000000}, {"mine": "text"}, {"mine": 7}, {"mine": 1.5},
                 {"mine": True}, {"triton_mine": 1}, {"sequence_id": 5}, {"sequence_id": "five"}, {"binary_data_output": True},
                 {"sequence_start": True}, {"triton_enable_empty_final_response": True}):  # fmt: skip
        yield call(f"parameters {each}", parameters=each)
    yield call("ensemble", model="pair", inputs=[("A", "INT32", (1, 16)), ("B", "INT32", (1, 16))], raw=raw)
    values = {
        "BOOL": ("bool_contents", [True]),
        "UINT8": ("uint_contents", [200]),
        "UINT16": ("uint_contents", [60000]),
    }
    values |= {
        "UINT32": ("uint_contents", [2**32 - 1]),
        "UINT64": ("uint64_contents", [2**63]),
        "INT8": ("int_contents", [-100]),
    }
    values |= {
        "INT16": ("int_contents", [-30000]),
        "INT32": ("int_contents", [-(2**31)]),
        "INT64": ("int64_contents", [-(2**63)]),
    }
    values |= {"FP64": ("fp64_contents", [0.1]), "FP16": ("fp32_contents", [0.5])}
    for datatype, (kind, data) in values.items():
        yield call(
            f"contents {datatype}",
            model=f"any_{datatype.lower()}",
            inputs=[("INPUT0", datatype, (1,), {kind: data})],
            raw=[],
        )
    for what, (kind, data) in {"UINT8": ("uint_contents", [300]), "INT8": ("int_contents", [300])}.items():
        yield call(
            f"contents {what} too large",
            model=f"any_{what.lower()}",
            inputs=[("INPUT0", what, (1,), {kind: data})],
            raw=[],
        )
    yield call(
        "contents BYTES",
        model="text",
        inputs=[("INPUT0", "BYTES", (1, 2), {"bytes_contents": [b"abc", b"\xff\0"]})],
        raw=[],
    )
    words = struct.pack("<I3sI2s", 3, b"abc", 2, b"\xff\0")
    yield call("raw BYTES", model="text", inputs=[("INPUT0", "BYTES", (1, 2))], raw=[words])
    yield call("raw BYTES, cut off", model="text", inputs=[("INPUT0", "BYTES", (1, 2))], raw=[words[:-1]])
    yield Case("gRPC infer, no request at all", ("ModelInfer", pb.ModelInferRequest()))
    yield Case("gRPC infer, no message", ("ModelInfer", b"\xff\xff\xff"))


def grpc_cases():
    for method in ("ServerLive", "ServerReady"):
        yield Case("gRPC " + method, (method, getattr(pb, method + "Request")()))
    yield Case("gRPC ServerMetadata", ("ServerMetadata", pb.ServerMetadataRequest()), values=False)
    for method in ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"):
        make = getattr(pb, method + "Request")
        for model, version in (("identity", ""), ("identity", "1"), ("identity", "2"), ("identity", "x"), ("nosuch", ""),
                               ("broken", ""), ("versions", ""), ("versions", "2"), ("versions", "3"), ("", ""), ("pair", ""),
                               ("latest", ""), ("versions", "-1"), ("", "1")):  # fmt: skip
            values = method in ("ModelReady", "ModelMetadata")
            yield Case(f"gRPC {method} {model!r} {version!r}", (method, make(name=model, version=version)), values)
    yield from grpc_infer_cases()
    yield Case("gRPC RepositoryIndex", ("RepositoryIndex", pb.RepositoryIndexRequest()), values=False)
    yield Case("gRPC RepositoryIndex, ready", ("RepositoryIndex", pb.RepositoryIndexRequest(ready=True)), values=False)
    other = pb.RepositoryIndexRequest(repository_name="nosuch")
    yield Case("gRPC RepositoryIndex of another", ("RepositoryIndex", other), values=False)
    for model in ("nosuch", "broken", "line"):
        unload = pb.RepositoryModelUnloadRequest(model_name=model)
        yield Case(f"gRPC RepositoryModelUnload {model}", ("RepositoryModelUnload", unload))
        load = pb.RepositoryModelLoadRequest(model_name=model)
        yield Case(f"gRPC RepositoryModelLoad {model}", ("RepositoryModelLoad", load))
    load = pb.RepositoryModelLoadRequest(model_name="line")
    load.parameters["config"].string_param = "hello"
    yield Case("gRPC RepositoryModelLoad, configuration no JSON", ("RepositoryModelLoad", load))
    for kind in ("SystemSharedMemory", "CudaSharedMemory"):
        for method in ("Status", "Unregister", "Register"):
            for region in ("", "r"):
                request = getattr(pb, kind + method + "Request")(name=region)
                yield Case(f"gRPC {kind}{method} {region!r}", (kind + method, request))
    yield Case("gRPC TraceSetting", ("TraceSetting", pb.TraceSettingRequest()), values=False)
    yield Case(
        "gRPC TraceSetting of no model", ("TraceSetting", pb.TraceSettingRequest(model_name="nosuch")), values=False
    )
    yield Case("gRPC LogSettings", ("LogSettings", pb.LogSettingsRequest()), values=False)
    yield Case("gRPC no such method", ("NoSuchMethod", pb.ServerLiveRequest()))
    yield Case("gRPC Health/Check", ("/grpc.health.v1.Health/Check", b""))
    yield Case("gRPC Health/Check of a service", ("/grpc.health.v1.Health/Check", b"\x0a\x09inference"))
    yield Case("gRPC no such service", ("/nosuch.Service/Method", b""))
    good, bad = message(id="1"), message("nosuch", id="2")
    short = message(raw=[b"1234"], id="3")
    final = message(parameters={"triton_enable_empty_final_response": True}, id="4")
    for name, messages in (("nothing", []), ("one", [good]), ("three", [good] * 3), ("a bad one between", [good, bad, good]),
                           ("a short one", [short, good]), ("with empty final", [final])):  # fmt: skip
        yield Case(f"gRPC stream, {name}", ("ModelStreamInfer", messages))


def shared_cases():
    """Tensors in shared memory: SHARED_KEY is a region of 4,096 bytes, the first 64 of them X."""
    register = {"key": SHARED_KEY, "offset": 0, "byte_size": 4096}
    base = "/v2/systemsharedmemory"
    post = lambda name, body, region="m": http(name, "POST", f"{base}/region/{region}/register", body)
    yield post("register a region", register)
    yield post("register a region again", register)
    yield post("register beyond its end", register | {"byte_size": 8192}, "far")
    yield post("register from beyond its end", register | {"offset": 4096}, "far")
    yield post("register no bytes", register | {"byte_size": 0}, "none")
    yield post("register without byte_size", {"key": SHARED_KEY}, "less")
    yield post("register an unknown key", register | {"key": "/slipway_nosuch"}, "nosuch")
    yield http("regions", "GET", f"{base}/status")
    yield http("region m", "GET", f"{base}/region/m/status")
    place = lambda offset=0, size=64, region="m": {
        "shared_memory_region": region,
        "shared_memory_offset": offset,
        "shared_memory_byte_size": size,
    }
    out = {"outputs": [{"name": "OUTPUT0", "parameters": place(256)}]}
    for name, where in (
        ("", place()),
        (" beyond its end", place(4064)),
        (" of 60 bytes", place(size=60)),
        (" of no region", place(region="nosuch")),
        (" without a size", {"shared_memory_region": "m"}),
        (" with its size as text", place() | {"shared_memory_byte_size": "64"}),
    ):
        yield infer("an input in shared memory" + name, [tensor(data=None, parameters=where)])
    yield infer("an input in shared memory and data", [tensor(parameters=place())])
    yield infer("an output to shared memory", [tensor()], **out)
    yield infer("both in shared memory", [tensor(data=None, parameters=place())], **out)
    for name, where in (
        (" beyond its end", place(4064)),
        (" of 60 bytes", place(size=60)),
        (" of no region", place(region="x")),
    ):
        more = {"outputs": [{"name": "OUTPUT0", "parameters": where}]}
        yield infer("an output to shared memory" + name, [tensor()], **more)
    request = message(raw=[], outputs=[("OUTPUT0", place(256))])
    parameters_of(request.inputs[0].parameters, place())
    yield Case("gRPC both in shared memory", ("ModelInfer", request))
    request = message(raw=[])
    parameters_of(request.inputs[0].parameters, place(4064))
    yield Case("gRPC an input in shared memory beyond its end", ("ModelInfer", request))
    status = pb.SystemSharedMemoryStatusRequest()
    yield Case("gRPC SystemSharedMemoryStatus of a region", ("SystemSharedMemoryStatus", status))
    again = pb.SystemSharedMemoryRegisterRequest(name="m", key=SHARED_KEY, byte_size=4096)
    yield Case("gRPC SystemSharedMemoryRegister, again", ("SystemSharedMemoryRegister", again))
    yield http("unregister a region", "POST", f"{base}/region/m/unregister")
    yield infer("an input in shared memory that is gone", [tensor(data=None, parameters=place())])


def last_cases():
    """Triton does not live through these."""
    yield infer("wide, shape [4, 2**60 + 2]", [tensor(shape=(4, 2**60 + 2), data=FLOATS)], "wide")
    yield text_infer("nested 250,000 deep", nested(250000))


def cases():
    """All of them, in the order in which they are sent: some load and unload what later ones ask for."""
    groups = (
        status_cases,
        json_cases,
        output_cases,
        binary_cases,
        coding_cases,
        grpc_cases,
        shared_cases,
        repository_cases,
    )
    groups += (last_cases,)
    made = {}
    for group in groups:
        for case in group():
            while case.name in made:
                case.name += ", again"
            made[case.name] = case
    return list(made.values())
