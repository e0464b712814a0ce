"""What the program is held against: ONNX Runtime for networks, OpenCV and NumPy for what comes before and after a YOLO
detector. Written from the published description of the method (letterbox, decode, greedy NMS by class)."""

import numpy as np


def run_onnx(path, inputs):
    """ONNX Runtime's outputs by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([port.name for port in session.get_outputs()], session.run(None, inputs)))


def letterbox(picture, height, width, stride=None):
    """A BGR picture scaled to fit and padded with 114 to height x width, as RGB float 1 3 H W in [0, 1]; and how to get
    back: the scale per axis and the padding (x, y). With `stride`: padded no further than to its next multiple."""
    import cv2

    h, w = picture.shape[:2]
    ratio = min(height / h, width / w)
    new_w, new_h = round(w * ratio), round(h * ratio)
    if (new_w, new_h) != (w, h):
        picture = cv2.resize(picture, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    if stride:
        height, width = new_h + (height - new_h) % stride, new_w + (width - new_w) % stride
    left, top = round((width - new_w) / 2 - 0.1), round((height - new_h) / 2 - 0.1)
    canvas = np.full((height, width, 3), 114, np.uint8)
    canvas[top : top + new_h, left : left + new_w] = picture
    tensor = canvas[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(tensor), (new_w / w, new_h / h), (left, top)


def iou(a, b):
    """Intersection over union of box a with boxes b (x1 y1 x2 y2)."""
    inner = np.clip(np.minimum(a[2:], b[:, 2:]) - np.maximum(a[:2], b[:, :2]), 0, None).prod(1)
    areas = (b[:, 2:] - b[:, :2]).prod(1)
    return inner / ((a[2:] - a[:2]).prod() + areas - inner)


def detections(output, scale, pad, size, conf=0.25, iou_limit=0.7, max_det=300):
    """Rows (class, confidence, x1 y1 x2 y2 in pixels of the picture) from a YOLO output 4+classes x anchors, best
    first. `size`: width and height of the picture."""
    scores = output[4:]
    best = scores.max(0)
    keep = np.flatnonzero(best > conf)
    keep = keep[np.argsort(-best[keep], kind="stable")]
    center, half = output[:2, keep].T, output[2:4, keep].T / 2
    boxes = np.concatenate([center - half, center + half], 1)
    classes = scores[:, keep].argmax(0)
    apart = boxes + classes[:, None] * 7680.0  # boxes of different classes never meet
    chosen, alive = [], np.arange(len(keep))
    while alive.size and len(chosen) < max_det:
        chosen.append(alive[0])
        alive = alive[1:][iou(apart[alive[0]], apart[alive[1:]]) <= iou_limit]
    boxes = (boxes[chosen] - [*pad, *pad]) / [*scale, *scale]
    boxes = np.clip(boxes, 0, [*size, *size])
    return np.column_stack([classes[chosen], best[keep][chosen], boxes]) if chosen else np.zeros((0, 6))


def detect(path, picture, **options):
    """As `slipway detect` on a YOLO model: rows as above. Models of unknown height and width get the smallest input
    that holds the picture, scaled to the size that their metadata name."""
    import ast

    import onnx

    model = onnx.load(path, load_external_data=False)
    port = model.graph.input[0]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    height, width = (dim.dim_value for dim in port.type.tensor_type.shape.dim[2:])
    if height and width:
        tensor, scale, pad = letterbox(picture, height, width)
    else:
        tensor, scale, pad = letterbox(picture, *ast.literal_eval(metadata["imgsz"]), int(metadata["stride"]))
    (output,) = run_onnx(path, {port.name: tensor}).values()
    return detections(output[0], scale, pad, picture.shape[1::-1], **options)


def unmatched(got, want, min_iou=0.99, confidence=0.005):
    """Pairs detections (dicts as in the program's JSON) one to one; returns lines about those without a partner of the
    same class, IoU above `min_iou` and a confidence within `confidence`."""
    missing, free = [], list(want)
    for detection in got:
        for candidate in free:
            if (
                candidate["class_id"] == detection["class_id"]
                and abs(candidate["confidence"] - detection["confidence"]) <= confidence
                and iou(np.array(detection["box"]), np.array([candidate["box"]]))[0] > min_iou
            ):
                free.remove(candidate)
                break
        else:
            missing.append(f"found, not expected: {detection}")
    return missing + [f"expected, not found: {candidate}" for candidate in free]
