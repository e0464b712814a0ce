"""Writes TensorFlow Lite files of any operators, for tests of the importer.

Schema version 3; the format is that of flatbuffers.dev/internals."""

import pathlib
import struct

import numpy as np

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9}
# Operators by their numbers in the schema, and the number of each one's options where it has some.
OPERATORS = {
    "ADD": (0, 11), "AVERAGE_POOL_2D": (1, 5), "CONCATENATION": (2, 10), "CONV_2D": (3, 1), "DEPTHWISE_CONV_2D": (4, 2),
    "DEPTH_TO_SPACE": (5, 94), "DEQUANTIZE": (6, 0), "FULLY_CONNECTED": (9, 8), "L2_NORMALIZATION": (11, 12),
    "L2_POOL_2D": (12, 5), "LOCAL_RESPONSE_NORMALIZATION": (13, 13), "LOGISTIC": (14, 0), "MAX_POOL_2D": (17, 5),
    "MUL": (18, 21), "RELU_N1_TO_1": (20, 0), "RELU6": (21, 0), "RESHAPE": (22, 17), "RESIZE_BILINEAR": (23, 15),
    "SOFTMAX": (25, 9), "SPACE_TO_DEPTH": (26, 19), "UNIDIRECTIONAL_SEQUENCE_RNN": (35, 31), "GATHER": (36, 23),
    "BATCH_TO_SPACE_ND": (37, 0), "SPACE_TO_BATCH_ND": (38, 0), "TRANSPOSE": (39, 0), "MEAN": (40, 27), "SUB": (41, 28),
    "DIV": (42, 29), "SQUEEZE": (43, 30), "UNIDIRECTIONAL_SEQUENCE_LSTM": (44, 71), "STRIDED_SLICE": (45, 32),
    "EXP": (47, 0), "TOPK_V2": (48, 0), "SPLIT": (49, 35), "BIDIRECTIONAL_SEQUENCE_LSTM": (52, 69), "CAST": (53, 37),
    "PRELU": (54, 0), "MAXIMUM": (55, 0), "ARG_MAX": (56, 40), "LESS": (58, 0), "PADV2": (60, 0), "SELECT": (64, 0),
    "SLICE": (65, 0), "TRANSPOSE_CONV": (67, 49), "TILE": (69, 0), "EXPAND_DIMS": (70, 0), "NOT_EQUAL": (72, 0),
    "SUM": (74, 27), "RSQRT": (76, 0), "SHAPE": (77, 55), "REDUCE_PROD": (81, 27), "PACK": (83, 59), "ONE_HOT": (85, 61),
    "LOGICAL_NOT": (87, 0), "UNPACK": (88, 64), "FLOOR_DIV": (90, 0), "REDUCE_ANY": (91, 27), "SQUARE": (92, 0),
    "ZEROS_LIKE": (93, 0), "FILL": (94, 0), "FLOOR_MOD": (95, 0), "RANGE": (96, 0), "LEAKY_RELU": (98, 75),
    "SQUARED_DIFFERENCE": (99, 0), "MIRROR_PAD": (100, 77), "SPLIT_V": (102, 79), "REVERSE_V2": (105, 0), "ADD_N": (106, 0),
    "GATHER_ND": (107, 0), "RANK": (110, 0), "QUANTIZE": (114, 0), "ROUND": (116, 0), "SCATTER_ND": (122, 0),
    "SELECT_V2": (123, 0), "BATCH_MATMUL": (126, 101), "CUMSUM": (128, 102), "BROADCAST_TO": (130, 0), "REDUCE_ALL": (140, 27),
    "GELU": (150, 116), "RELU_0_TO_1": (152, 0), "SIGN": (158, 0),
}  # fmt: skip


class Table(dict):
    """Slot -> value: True and False, ("i8" or "f32" or "u64", number), int (32 bits), or what stands elsewhere: Table, list
    of tables, str, numpy array."""


def _inline(value):
    """The bytes of a scalar; None for what stands elsewhere."""
    if isinstance(value, bool):
        return struct.pack("<?", value)
    if isinstance(value, int):
        return struct.pack("<i", value)
    if isinstance(value, tuple):
        return struct.pack({"i8": "<b", "f32": "<f"}[value[0]], value[1])
    return None


class _Writer:
    def __init__(self):
        self.data = bytearray()

    def align(self, to, more=0):
        while (len(self.data) + more) % to:
            self.data.append(0)

    def put(self, value):
        """Writes what stands elsewhere, then what it names; returns where it begins."""
        if isinstance(value, str):
            text = value.encode()
            self.align(4)
            at = len(self.data)
            self.data += struct.pack("<I", len(text)) + text + b"\0"
            return at
        if isinstance(value, np.ndarray):
            self.align(16, 4)
            at = len(self.data)
            self.data += struct.pack("<I", value.size) + np.ascontiguousarray(value).tobytes()
            return at
        if isinstance(value, list):
            self.align(4)
            at = len(self.data)
            self.data += struct.pack("<I", len(value)) + bytes(4 * len(value))
            self.link(at + 4, value)
            return at
        return self.table(value)

    def link(self, hole, values):
        for i, value in enumerate(values):
            at = self.put(value)
            struct.pack_into("<I", self.data, hole + 4 * i, at - hole - 4 * i)

    def table(self, fields):
        slots = [0] * (max(fields, default=-1) + 1)
        body, later = bytearray(4), []
        for slot, value in sorted(fields.items()):
            scalar = _inline(value)
            size = len(scalar) if scalar else 4
            body += bytes(-len(body) % size)
            slots[slot] = len(body)
            if scalar is None:
                later.append((len(body), value))
            body += scalar or bytes(4)
        self.align(4, 4 + 2 * len(slots))
        vtable = len(self.data)
        self.data += struct.pack(f"<HH{len(slots)}H", 4 + 2 * len(slots), len(body), *slots)
        at = len(self.data)
        self.data += body
        struct.pack_into("<i", self.data, at, at - vtable)
        for offset, value in later:
            self.link(at + offset, [value])
        return at


class Model:
    """One subgraph. Tensors are numbers; -1 is an absent one."""

    def __init__(self):
        self.tensors, self.buffers, self.operators, self.codes = [], [Table()], [], []

    def tensor(self, name, shape, dtype="float32", data=None, scale=None, zero=0, axis=0, variable=False):
        fields = Table({0: np.array(shape, np.int32), 1: ("i8", TYPES[dtype]), 2: 0, 3: name, 5: variable})
        if data is not None:
            fields[2] = len(self.buffers)
            self.buffers.append(Table({0: np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)}))
        if scale is not None:
            scales = np.array(scale, np.float32).reshape(-1)
            zeros = np.broadcast_to(np.array(zero, np.int64), scales.shape)
            fields[4] = Table({2: scales, 3: zeros, 6: axis})
        self.tensors.append(fields)
        return len(self.tensors) - 1

    def const(self, data, name="", **more):
        data = np.asarray(data)
        return self.tensor(name or f"const_{len(self.tensors)}", data.shape, data.dtype.name, data, **more)

    def add(self, operator, inputs, outputs, options=None, version=1, custom=None):
        code, kind = OPERATORS.get(operator, (32, 0))
        key = (code, version, custom)
        if key not in self.codes:
            self.codes.append(key)
        fields = Table({0: self.codes.index(key), 1: np.array(inputs, np.int32), 2: np.array(outputs, np.int32)})
        if kind:
            fields |= {3: ("i8", kind), 4: Table(options or {})}
        self.operators.append(Table(fields))

    def save(self, path, inputs, outputs):
        codes = []
        for code, version, custom in self.codes:
            fields = Table({0: ("i8", min(code, 127)), 2: version, 3: code})
            codes.append(Table(fields | {1: custom}) if custom else fields)
        ports = np.array(inputs, np.int32), np.array(outputs, np.int32)
        graph = Table({0: self.tensors, 1: ports[0], 2: ports[1], 3: self.operators, 4: "main"})
        writer = _Writer()
        writer.data += bytes(4) + b"TFL3"
        writer.link(0, [Table({0: 3, 1: codes, 2: [graph], 3: "test", 4: self.buffers})])
        pathlib.Path(path).write_bytes(writer.data)
