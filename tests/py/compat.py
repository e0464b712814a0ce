#!/usr/bin/env python3
"""The same requests to Slipway and to Triton: do users' clients see the same?

    tools/peers triton                       # once: the real Triton, from PyPI
    build/venv/bin/python tests/py/compat.py            # Slipway beside what Triton answered (tests/golden/triton.txt)
    build/venv/bin/python tests/py/compat.py --triton   # beside the real one, now
    build/venv/bin/python tests/py/compat.py --record   # writes what the real one answers

Compared are the status, keys and values in JSON, raw tensors, and of good answers the type and coding; over gRPC the code
and the message's fields and values. What differs must be listed in docs/triton.md, which argues it. Texts of errors are
compared, too, and counted, but may differ."""

import argparse
import fnmatch
import gzip
import json
import pathlib
import re
import socket
import sys
import tempfile
import time
import zlib

import grpc
from google.protobuf import json_format
from tritonclient.grpc import service_pb2 as pb

import compat_requests
import serving
import real_triton

GOLDEN = real_triton.ROOT / "tests/golden/triton.txt"
DOCS = real_triton.ROOT / "docs/triton.md"
# Keys whose values no two servers share: what a model is made of, times, texts of errors.
FREE = {"platform", "error", "error_message"}
TIMEOUT_S = 10


# -- Sending ------------------------------------------------------------------------------------------------------------


def read_answer(connection, head):
    """Status, headers (lower case), body; status 0: the connection ended without an answer."""
    file = connection.makefile("rb")
    line = file.readline()
    while line.startswith(b"HTTP/1.1 100"):
        while file.readline().strip():
            pass
        line = file.readline()
    if not line:
        return 0, {}, b""
    headers = {}
    while (header := file.readline().strip()) != b"":
        key, _, value = header.decode("latin-1").partition(":")
        headers[key.strip().lower()] = value.strip()
    status = int(line.split()[1])
    if head or status == 204:
        return status, headers, b""
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while size := int(file.readline(), 16):
            body += file.read(size)
            file.readline()
        return status, headers, body
    if "content-length" in headers:
        return status, headers, file.read(int(headers["content-length"]))
    return status, headers, file.read()


def send_http(port, what):
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        try:
            connection.sendall(what)
            status, headers, body = read_answer(connection, what.startswith(b"HEAD "))
        except ConnectionError:
            return {"status": 0}
        except TimeoutError:
            return {"status": -1}
    seen = {"status": status}
    if body and status == 200:
        seen["type"] = headers.get("content-type", "")
    coding = headers.get("content-encoding", "")
    if coding:
        seen["coding"] = coding
        body = gzip.decompress(body) if coding == "gzip" else zlib.decompress(body)
    size = headers.get("inference-header-content-length")
    if size is not None:
        seen["tail"] = body[int(size) :].hex()
        body = body[: int(size)]
    try:
        seen["json"] = json.loads(body) if body else None
    except ValueError:
        seen["text"] = body.decode("latin-1")[:200]
    return seen


def serializer(message):
    return message if isinstance(message, bytes) else message.SerializeToString()


def plain(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def send_grpc(channel, what):
    method, messages = what
    path = method if method.startswith("/") else "/inference.GRPCInferenceService/" + method
    parse = bytes if method.startswith("/") or method == "NoSuchMethod" else None
    parse = parse or getattr(pb, method + "Response").FromString
    try:
        if isinstance(messages, list):
            call = channel.stream_stream(path, serializer, parse)
            return {"status": "OK", "json": [plain(each) for each in call(iter(messages), timeout=TIMEOUT_S)]}
        answer = channel.unary_unary(path, serializer, parse)(messages, timeout=TIMEOUT_S)
        return {"status": "OK", "json": answer.hex() if isinstance(answer, bytes) else plain(answer)}
    except grpc.RpcError as error:
        return {"status": error.code().name, "json": {"error": error.details()}}


# -- Comparing ----------------------------------------------------------------------------------------------------------


def keys(value, path=""):
    """All paths of keys in a JSON value; elements of an array count as one."""
    if isinstance(value, dict):
        return set().union({path}, *(keys(each, f"{path}.{key}") for key, each in value.items()))
    if isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        return set().union(*(keys(each, path + "[]") for each in value))
    return {path}


def cut(value):
    """Without the values of FREE keys; the order of the repository's and of statistics' rows does not count."""
    if isinstance(value, dict):
        return {key: None if key in FREE else cut(each) for key, each in value.items()}
    return [cut(each) for each in value] if isinstance(value, list) else value


def summary(case, seen):
    """What is kept of an answer and compared."""
    seen = dict(seen)
    value = seen.pop("json", None)
    text = value.get("error") if isinstance(value, dict) else None
    seen["keys"] = sorted(keys(value)) if not case.values else None
    seen["value"] = cut(value) if case.values else None
    return {key: each for key, each in seen.items() if each is not None}, text


def differences(ours, theirs):
    """What differs between two summaries, part by part."""
    parts = []
    for key in sorted(set(ours) | set(theirs)):
        a, b = ours.get(key), theirs.get(key)
        if a == b:
            continue
        if key == "keys":
            missing, more = sorted(set(b or ()) - set(a or ())), sorted(set(a or ()) - set(b or ()))
            a, b = " ".join(["also", *more]) if more else "", " ".join(["also", *missing]) if missing else ""
        parts.append(f"{key}: {json.dumps(a)}, Triton {json.dumps(b)}".replace('"', ""))
    return parts


def normal(text):
    return re.sub(r"\s+", " ", text or "")


# -- Running ------------------------------------------------------------------------------------------------------------


def send(server, case, backend):
    if not isinstance(case.what, bytes):
        with grpc.insecure_channel(
            f"127.0.0.1:{server.grpc}", options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            return send_grpc(channel, case.what)
    what = case.what
    if b"BACKEND" in what:  # of the server's own kind
        head, _, body = what.replace(b"BACKEND", backend.encode()).partition(b"\r\n\r\n")
        what = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head) + b"\r\n\r\n" + body
    return send_http(server.http, what)


def ask(start, made, backend):
    """{name: (summary, text of the error)} for every case; a server that dies of one is started again."""
    answers, server = {}, start()
    shared = pathlib.Path("/dev/shm" + compat_requests.SHARED_KEY)
    shared.write_bytes(compat_requests.X.tobytes().ljust(4096, b"\0"))
    try:
        for case in made:
            seen = send(server, case, backend)
            if seen["status"] in (0, "UNAVAILABLE"):
                time.sleep(1)
                if server.process.poll() is not None:
                    seen, server = {"status": "died"}, start()
            answers[case.name] = summary(case, seen)
    finally:
        server.stop()
        shared.unlink(missing_ok=True)
    return answers


ARGUMENTS = "--model-control-mode explicit --load-model * --exit-on-error false --strict-readiness false".split()


def ask_slipway(made):
    with tempfile.TemporaryDirectory() as folder:
        compat_requests.write_models(pathlib.Path(folder), "identity")
        shared = ("--allow-client-shm", "true")  # on in the Triton that PyPI has
        return ask(lambda: serving.Server("--model-repository", folder, *ARGUMENTS, *shared), made, "identity")


def ask_triton(made):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        compat_requests.write_models(folder / "models", "python")
        arguments = [f"{a}={b}" for a, b in zip(ARGUMENTS[::2], ARGUMENTS[1::2])]
        return ask(lambda: real_triton.Triton(folder / "models", folder / "log", *arguments), made, "python")


def listed():
    """The differences that docs/triton.md argues: a pattern of requests' names and one of what differs, from its tables."""
    return re.findall(r"^\| `(.+?)` \| `(.+?)` \|", DOCS.read_text(), re.M)


def compare(made, ours, theirs):
    """Rows (name, what differs, the row of docs/triton.md or None), and counts of errors: in the same words, in others."""
    rows, words = [], [0, 0]
    rules = listed()
    for case in made:
        (mine, text), (wanted, their_text) = ours[case.name], theirs[case.name]
        left = differences(mine, wanted)
        used = []
        for names, what in rules:  # each rule explains the parts that it matches
            if fnmatch.fnmatchcase(case.name, names):
                matched = [part for part in left if fnmatch.fnmatchcase(part, what)]
                used += [(names, what)] if matched else []
                left = [part for part in left if part not in matched]
        if left or used:
            rows.append((case.name, "; ".join(left or differences(mine, wanted)), None if left else used))
        if their_text is not None:
            words[normal(text) != normal(their_text)] += 1
    return rows, words


def unused(rows):
    """Lines of docs/triton.md that no request needs."""
    needed = {rule for *_, used in rows for rule in used or ()}
    return [rule for rule in listed() if rule not in needed]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triton", action="store_true", help="beside the real Triton")
    parser.add_argument("--record", action="store_true", help="write what the real Triton answers")
    parser.add_argument("--words", action="store_true", help="print texts of errors that differ")
    options = parser.parse_args()
    made = compat_requests.cases()
    if options.triton or options.record:
        theirs = ask_triton(made)
    else:
        theirs = json.loads(GOLDEN.read_text())
    if options.record:
        rows = [f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in theirs.items()]
        GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    ours = ask_slipway(made)
    rows, words = compare(made, ours, theirs)
    for name, what, allowed in rows:
        print(f"{'listed' if allowed else 'DIFFERS':8} {name}: {what[:600]}")
    if options.words:
        for case in made:
            mine, their = normal(ours[case.name][1]), normal(theirs[case.name][1])
            if their and mine != their:
                print(f"words    {case.name}: {mine}\n         Triton: {their}")
    for names, what in unused(rows):
        print(f"unused   {names}: {what}")
    unlisted = sum(not allowed for *_, allowed in rows)
    print(f"{len(made)} requests: {len(made) - len(rows)} same, {len(rows)} differ, {unlisted} of them not listed")
    print(f"{sum(words)} errors: {words[0]} in Triton's words, {words[1]} in others")
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
