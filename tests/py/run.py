"""Runs the Python tests: `run.py [MODULE ...]`, where MODULE is a part of a file name (`cli` for test_cli.py). Without
arguments: all but the mutations, which want a sanitizer build. Ends with "N passed, N failed, N skipped"."""

import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class Result(unittest.TextTestResult):
    """Counts each test method once, names what was skipped, and says how long the slow ones took."""

    passed = 0

    def startTest(self, test):
        super().startTest(test)
        self.started_at = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        took = time.monotonic() - self.started_at
        if took > 5:
            self.stream.writeln(f"{test.id()} took {took:.1f} s")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.stream.writeln(f"{test.id()}: skipped: {reason}")


def main():
    sys.path.insert(0, str(HERE))
    wanted = sys.argv[1:]
    suite = unittest.TestSuite()
    modules = [path.stem for path in sorted(HERE.glob("test_*.py"))]
    for part in wanted:
        if not any(part in module for module in modules):
            print(f'run.py: no test file has "{part}" in its name (a class or a method cannot be named here)')
            return 2
    for module in modules:
        if any(part in module for part in wanted) if wanted else module != "test_mutations":
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(module))
    result = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result, verbosity=0).run(suite)
    bad = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}
    print(f"{result.passed} passed, {len(bad)} failed, {len(result.skipped)} skipped")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
