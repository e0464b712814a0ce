"""Box decoding and the training losses: class score, box overlap, bin distribution, and distillation."""
import torch
import torch.nn.functional as F

from assign import assign, cells, overlap
from model import BINS


def sides(raw):
    """Expected distance to the four sides, in strides, from 4 * BINS logits."""
    bins = torch.arange(BINS, device=raw.device, dtype=raw.dtype)
    return raw[..., :4 * BINS].unflatten(-1, (4, BINS)).softmax(-1) @ bins


def decode(raw, points, strides):
    """(..., A, 4) boxes x0 y0 x1 y1 in pixels from raw network output."""
    d = sides(raw) * strides[:, None]
    return torch.cat([points - d[..., :2], points + d[..., 2:]], -1)


def bin_loss(raw, target):
    """Cross-entropy on the two bins around each target distance (B, A, 4), mean of the four sides: (B, A)."""
    target = target.clamp(0, BINS - 1 - 0.01)
    low = target.floor()
    part = target - low
    low = low.long()
    logp = raw[..., :4 * BINS].unflatten(-1, (4, BINS)).log_softmax(-1)
    near = logp.gather(-1, low[..., None])[..., 0]
    far = logp.gather(-1, low[..., None] + 1)[..., 0]
    return -(near * (1 - part) + far * part).mean(-1)


class Criterion:
    """Loss of one batch.  Weights: box 7.5, class 0.5, bins 1.5."""

    def __init__(self, size, device, box=7.5, cls=0.5, bins=1.5):
        self.weight = (box, cls, bins)
        self.points, self.strides = cells(*size, device)

    def _sum(self, box, cls, bins):
        return self.weight[0] * box + self.weight[1] * cls + self.weight[2] * bins

    def __call__(self, raw, boxes, classes, present):
        """-> (loss, the three parts detached)."""
        raw = raw.float()
        pred, logit = decode(raw, self.points, self.strides), raw[..., 4 * BINS:]
        tbox, tscore, fg = assign(logit.detach().sigmoid(), pred.detach(), self.points, boxes, classes, present)
        norm = tscore.sum().clamp(min=1.0)
        cls = F.binary_cross_entropy_with_logits(logit, tscore, reduction="sum") / norm
        weight = tscore.sum(-1) * fg
        # background cells get a harmless box, so that shapes stay static and no gradient becomes NaN
        own = torch.cat([self.points - self.strides[:, None], self.points + self.strides[:, None]], -1)
        tbox = torch.where(fg[..., None], tbox, own)
        box = ((1 - overlap(pred, tbox, True)) * weight).sum() / norm
        distance = torch.cat([self.points - tbox[..., :2], tbox[..., 2:] - self.points], -1) / self.strides[:, None]
        bins = (bin_loss(raw, distance) * weight).sum() / norm
        return self._sum(box, cls, bins), torch.stack([box, cls, bins]).detach()

    def distil(self, raw, teacher):
        """Loss against a frozen teacher: its scores, and its boxes and bins weighted by its best score."""
        raw, teacher = raw.float(), teacher.float()
        prob = teacher[..., 4 * BINS:].sigmoid()
        weight = prob.amax(-1)
        weight = torch.where(weight > 0.05, weight, torch.zeros_like(weight))
        norm = weight.sum().clamp(min=1)
        cls = F.binary_cross_entropy_with_logits(raw[..., 4 * BINS:], prob, reduction="sum") / prob.sum().clamp(min=1)
        mine, its = decode(raw, self.points, self.strides), decode(teacher, self.points, self.strides)
        box = ((1 - overlap(mine, its, True)) * weight).sum() / norm
        q = teacher[..., :4 * BINS].unflatten(-1, (4, BINS)).softmax(-1)
        logp = raw[..., :4 * BINS].unflatten(-1, (4, BINS)).log_softmax(-1)
        bins = (-(q * logp).sum(-1).mean(-1) * weight).sum() / norm
        return self._sum(box, cls, bins)
