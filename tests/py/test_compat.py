"""Answers as the real Triton's, request by request; where not, docs/triton.md says why."""

import json
import unittest

import compat
import compat_requests


class Compat(unittest.TestCase):
    def test_same_as_triton(self):
        made = compat_requests.cases()
        theirs = json.loads(compat.GOLDEN.read_text())
        self.assertEqual([case.name for case in made], list(theirs))
        rows, _ = compat.compare(made, compat.ask_slipway(made), theirs)
        unlisted = [f"{name}: {what}" for name, what, used in rows if used is None]
        self.assertEqual(unlisted, [], "they differ from Triton's answers, and docs/triton.md does not say so")
        self.assertEqual(compat.unused(rows), [], "docs/triton.md lists differences that are none")
        self.assertLess(len(rows), len(made) / 3)
