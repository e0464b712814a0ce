"""What the user sees: one-sentence errors and progress lines."""
import sys
import time


class UserError(Exception):
    """A mistake of the user or his data; its text is one clear sentence."""


class Progress:
    """A line that is rewritten on a terminal; in a pipe only `note` lines are printed."""

    def __init__(self, stream=None):
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self.shown = 0.0
        self.width = 0

    def step(self, text):
        if not self.live or time.monotonic() - self.shown < 0.2:
            return
        self.shown = time.monotonic()
        self.stream.write("\r" + text.ljust(self.width))
        self.width = len(text)
        self.stream.flush()

    def note(self, text):
        if self.live and self.width:
            self.stream.write("\r" + " " * self.width + "\r")
            self.width = 0
        self.stream.write(text + "\n")
        self.stream.flush()


def run(main):
    """Call a command's main() and turn a UserError into one line and exit status 1."""
    try:
        sys.exit(main())
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
