"""Graphs without weights, and the generator that fills them.

A file of tests/zoo/ is an ONNX model whose large initialisers have dims and type but no data. Such an initialiser says
in its doc_string how it is filled: "uniform LO HI". The values come from splitmix64 (Steele, Lea, Flood: Fast splittable
pseudorandom number generators, 2014), one 64-bit output x a value, in row-major order:

    seed  = FNV-1a, 64 bits, of the initialiser's name in UTF-8
    value = LO + (HI - LO) * (x >> 40) / 2**24        in float64, rounded to the initialiser's type

So anybody gets the same weights in any language, and no weights need to be in the repository. tools/make-zoo chooses LO
and HI by the fan-in of the layer, which keeps activations near unit scale through deep networks.
"""

import json
import pathlib
import re

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
ZOO = ROOT / "tests/zoo"
GOLDEN = ROOT / "tests/golden"
TOLERANCE = 1e-4  # of the scale of a row group
PIECE = 1 << 15  # values made at a time: they stay in the cache


def fnv1a(name):
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return state


def splitmix64(seed, count, first=0):
    """`count` outputs from number `first` on, as uint64; arithmetic wraps."""
    with np.errstate(over="ignore"):
        z = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(seed)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z ^= z >> np.uint64(shift)
            z *= np.uint64(factor)
        z ^= z >> np.uint64(31)
        return z


def uniform(name, shape, low, high, dtype=np.float64):
    """Values in [low, high) that depend on the name only."""
    values = np.empty(int(np.prod(shape)), dtype)
    for at in range(0, values.size, PIECE):
        part = values[at : at + PIECE]
        part[:] = low + (high - low) * ((splitmix64(fnv1a(name), part.size, at) >> np.uint64(40)) * 2.0**-24)
    return values.reshape(shape)


def is_empty(tensor):
    return tensor.doc_string.startswith("uniform ")


def fill(model):
    """Gives the empty initialisers of an onnx.ModelProto their values, in place."""
    import onnx

    for tensor in model.graph.initializer:
        if is_empty(tensor):
            low, high = map(float, tensor.doc_string.split()[1:])
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            tensor.raw_data = uniform(tensor.name, list(tensor.dims), low, high, dtype).tobytes()
            tensor.doc_string = ""
    return model


def inputs_of(model):
    """One array in [0, 1) a graph input, by the same generator: seeded by the input's name. Unknown dims become 1."""
    import onnx

    constants = {tensor.name for tensor in model.graph.initializer}
    arrays = {}
    for port in model.graph.input:
        if port.name not in constants:
            tensor = port.type.tensor_type
            shape = [dim.dim_value or 1 for dim in tensor.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            arrays[port.name] = uniform(port.name, shape, 0.0, 1.0).astype(dtype)
    return arrays


def models():
    """Name and path of each model of the zoo."""
    return {path.stem: path for path in sorted(ZOO.glob("*.onnx"))}


def groups(array, axis=None, cuts=()):
    """Row groups: the array cut along `axis` at `cuts`. Boxes, scores and masks have scales of their own, so an error
    is measured in its group's largest absolute value. Without an axis the whole array is one group."""
    return [array] if axis is None else np.split(array, cuts, axis)


def worst_error(got, want, axis=None, cuts=()):
    """The largest |got - want| of any row group in units of the group's scale, max |want|."""
    worst = 0.0
    for a, b in zip(groups(got, axis, cuts), groups(want, axis, cuts)):
        if b.size:
            a, b = a.astype(np.float64), b.astype(np.float64)
            if not np.array_equal(np.isfinite(a), np.isfinite(b)):
                return np.inf
            finite = np.isfinite(b)
            difference = np.abs(np.where(finite, a - b, 0)).max()
            worst = max(worst, difference / max(np.abs(np.where(finite, b, 0)).max(), 1e-30))
    return worst


# Where the rows of the outputs of rank 3 are cut, by family: axis and cuts. The first that fits holds.
ROWS = (
    (r"yolov10|yolo26|rtdetr", (2, (4, 5))),  # box, score and class of each find
    (r"yolo.*-(seg|pose|obb)", (1, (4, 84))),  # boxes, scores, what the task adds
    (r"yolo", (1, (4,))),
)


def cut_of(name, array):
    """The row groups of an output of a model."""
    fits = (cut for pattern, cut in ROWS if array.ndim == 3 and re.match(pattern, name))
    return next(fits, (None, ()))


def clear_rows(name, array):
    """In a ranking, the rows whose place does not hang on rounding: their scores are apart from both neighbours'. None
    where the output is no ranking."""
    if not re.match("yolov10|yolo26|rtdetr", name):
        return None
    scores = array[0, :, 4]
    apart = scores[:-1] - scores[1:] > 2 * TOLERANCE * scores[0]
    return np.flatnonzero(np.append(True, apart) & np.append(apart, False)).tolist()


def chosen(array, golden):
    """What of an output is compared."""
    return array[:, golden["rows"]] if "rows" in golden else array


def sample(array, name, count=32):
    """The values of an array that its golden file keeps: `count` positions drawn by the generator."""
    positions = splitmix64(fnv1a(name + "/golden"), count) % np.uint64(array.size)
    return array.reshape(-1)[np.unique(positions).astype(np.int64)]


def golden_of(name, outputs):
    """What is kept of reference outputs (name -> array): shape; the rows to compare where not all; of each row group
    its scale and sampled values."""
    kept = {}
    for output, array in outputs.items():
        rows = clear_rows(name, array)
        golden = kept[output] = {"shape": list(array.shape)} | ({} if rows is None else {"rows": rows})
        golden["groups"] = [
            {
                "scale": float(np.abs(group).max()),
                "values": [float(f"{value:.8g}") for value in sample(group, output)],
            }
            for group in groups(chosen(array, golden), *cut_of(name, array))
        ]
    return kept


def golden_error(name, output, array, golden):
    """As worst_error, over the sampled values."""
    return max(
        float(np.abs(sample(group, output).astype(np.float64) - kept["values"]).max()) / kept["scale"]
        for group, kept in zip(groups(chosen(array, golden), *cut_of(name, array)), golden["groups"])
    )


def load_golden(name):
    return json.loads((GOLDEN / "zoo" / f"{name}.json").read_text())
