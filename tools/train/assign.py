"""Which cell learns which box: cells, box overlap and the task-aligned assignment."""
import math

import torch

from model import STRIDES


def cells(height, width, device="cpu"):
    """Centres (A, 2) and strides (A,) of all cells of an input of height x width, finest level first."""
    points, strides = [], []
    for s in STRIDES:
        y = (torch.arange(height // s, device=device) + 0.5) * s
        x = (torch.arange(width // s, device=device) + 0.5) * s
        gy, gx = torch.meshgrid(y, x, indexing="ij")
        points.append(torch.stack([gx, gy], -1).view(-1, 2))
        strides.append(torch.full((points[-1].shape[0],), float(s), device=device))
    return torch.cat(points), torch.cat(strides)


def overlap(a, b, complete=False, eps=1e-7):
    """IoU of x0 y0 x1 y1 boxes; with `complete` minus centre distance and aspect penalty (CIoU)."""
    wh = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    inter = wh[..., 0] * wh[..., 1]
    aw, ah = a[..., 2] - a[..., 0], a[..., 3] - a[..., 1]
    bw, bh = b[..., 2] - b[..., 0], b[..., 3] - b[..., 1]
    iou = inter / (aw * ah + bw * bh - inter + eps)
    if not complete:
        return iou
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal = hull[..., 0] ** 2 + hull[..., 1] ** 2 + eps
    d = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) * 0.5
    v = (4 / math.pi ** 2) * (torch.atan(bw / (bh + eps)) - torch.atan(aw / (ah + eps))) ** 2
    with torch.no_grad():
        alpha = v / (v - iou + (1 + eps))
    return iou - (d[..., 0] ** 2 + d[..., 1] ** 2) / diagonal - alpha * v


def candidates(points, boxes, present, smallest=12.0):
    """(B, M, A) bool: cells whose centre lies in the box; a box smaller than 1.5 fine cells still gets some."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = ((boxes[..., 2:] - boxes[..., :2]) / 2).clamp(min=smallest / 2)
    inside = ((points[None, None] - centre[:, :, None]).abs() < half[:, :, None]).all(-1)
    return inside & present[..., None]


@torch.no_grad()
def assign(scores, pred, points, boxes, classes, present, top=10, alpha=0.5, beta=6.0):
    """Give each true box the `top` cells that score and overlap best.

    scores (B, A, C) probabilities, pred (B, A, 4); boxes (B, M, 4), classes (B, M), present (B, M) say what is there.
    -> target boxes (B, A, 4), target scores (B, A, C), foreground (B, A).  The target score of a cell is its
    alignment, scaled so that the best cell of a box gets the box's best IoU.
    """
    B, A, C = scores.shape
    M = boxes.shape[1]
    inside = candidates(points, boxes, present)
    iou = overlap(boxes[:, :, None], pred[:, None]).clamp(0, 1)
    score = scores.transpose(1, 2).gather(1, classes[..., None].expand(B, M, A))
    align = score.pow(alpha) * iou.pow(beta) * inside
    best = align.topk(min(top, A), -1).indices
    chosen = torch.zeros_like(align).scatter_(-1, best, 1.0).bool() & inside
    # a cell wanted by several boxes serves the one it overlaps most
    contested = chosen.sum(1, keepdim=True) > 1
    owner = iou.masked_fill(~inside, -1).argmax(1, keepdim=True)
    owned = torch.zeros_like(align).scatter_(1, owner, 1.0).bool()
    chosen = torch.where(contested, chosen & owned, chosen)
    foreground = chosen.any(1)
    which = chosen.float().argmax(1)
    align = align * chosen
    scaled = align / (align.amax(-1, keepdim=True) + 1e-12) * (iou * chosen).amax(-1, keepdim=True)
    value = scaled.amax(1) * foreground
    target_box = boxes.gather(1, which[..., None].expand(B, A, 4))
    target_class = classes.gather(1, which)
    target_score = torch.zeros_like(scores).scatter_(-1, target_class[..., None], value[..., None])
    return target_box, target_score, foreground
