"""The rules of the house, checked over the files of the tree: `gates.py [NAME ...]`. Each rule is a function named
check_*, which yields one line a breach. Ends with "N passed, N failed, N skipped"."""

import functools
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("SLIPWAY_BUILD", ROOT / "build"))

MAX_FILE_LINES = 1000
MAX_FUNCTION_LINES = 150
MAX_COLUMNS = 128

# Which rooms a room may include besides itself (docs: README.md). Tests beside the code may include any.
LAYERS = {
    "base": "",
    "ops": "base",
    "kernels": "base ops",
    "backend": "base ops kernels",
    "engine": "base ops kernels backend",
    "ir": "base ops",
    "import": "base ops ir",
    "export": "base ops ir",
    "pass": "base ops ir kernels",
    "build": "base ops ir import pass backend engine",
    "eval": "base",
    "vision": "base ops engine",
    "media": "base vision",
    "serve": "base engine vision media",
    "cli": "base ops kernels backend engine ir import export pass build eval vision media serve",
}

# No bounds, no error, no thread safety, or a shell.
BANNED = (
    "strcpy strcat stpcpy sprintf vsprintf gets atoi atol atoll atof strtok alloca system popen setlocale tmpnam "
    "mktemp asctime ctime localtime gmtime rand srand setjmp longjmp"
).split()
BANNED_BUT = {"setjmp": "src/media/", "longjmp": "src/media/"}  # libpng and libjpeg report errors so

OS_HEADERS = (
    "unistd.h fcntl.h sched.h dirent.h glob.h dlfcn.h poll.h signal.h time.h termios.h ftw.h fnmatch.h spawn.h "
    "pwd.h netdb.h syslog.h"
).split()

# Paths of one machine, spelt so that this file does not contain them.
FORBIDDEN = re.compile(r"(?<![\w.])/(?:work|opt|root|home)/")


class Skip(Exception):
    """The check cannot run here; the text says why."""


@functools.cache
def tree():
    """All files that belong to the tree, without those that git ignores."""
    if shutil.which("git") and (ROOT / ".git").exists():
        out = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout.decode()
        names = [name for name in out.split("\0") if name]
    else:
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
        names = [n for n in names if not n.startswith(("build", ".git/", ".")) and "__pycache__" not in n]
    return sorted(name for name in names if (ROOT / name).is_file())


@functools.cache
def text(name):
    """The text of a file; None when it is no text."""
    data = (ROOT / name).read_bytes()
    if b"\0" in data[:65536]:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def files(*suffixes, under=""):
    """Names and texts of the text files with one of these suffixes (all without)."""
    for name in tree():
        if name.startswith(under) and (not suffixes or name.endswith(suffixes)) and text(name) is not None:
            yield name, text(name)


@functools.cache
def code(name):
    """C source with comments and the insides of literals blanked, line breaks kept."""

    def blank(match):
        token = match.group(0)
        return token[0] + token[0] if token[0] in "\"'" else re.sub(r"[^\n]", " ", token)

    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text(name), flags=re.S)


def c_files(under="src/"):
    return [name for name, _ in files(".c", ".h", under=under)]


def is_test(name):
    return pathlib.Path(name).name.startswith(("test_", "fuzz_"))


def lines_matching(name, source, pattern):
    for number, line in enumerate(source.splitlines(), 1):
        for match in pattern.finditer(line):
            yield f"{name}:{number}", match


def check_layers():
    """Rooms include only rooms below them."""
    include = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
    for name in c_files():
        room = name.split("/")[1]
        if room not in LAYERS:
            yield f"{name}: room {room} is not in the table of tools/gates.py"
            continue
        allowed = {room, *LAYERS[room].split()} if not is_test(name) else {*LAYERS, "unit.h"}
        for where, match in lines_matching(name, text(name), include):
            path = match.group(1)
            if path.startswith("slipway/"):
                continue
            if path.split("/")[0] not in allowed:
                yield f'{where}: {room} may not include "{path}"'
            elif not (ROOT / "src" / path).is_file() and not (ROOT / "tests" / path).is_file():
                yield f'{where}: "{path}" is no file; include from the root'


def check_public_headers():
    """Headers under include/ include only each other and the C library."""
    for name in c_files("include/"):
        for where, match in lines_matching(name, text(name), re.compile(r'^\s*#\s*include\s+"([^"]+)"')):
            if not match.group(1).startswith("slipway/"):
                yield f"{where}: public headers may include only slipway/ headers"


def check_file_length():
    """A file has at most 1,000 lines."""
    for name, source in files(".c", ".h", ".py", ".sh", under=""):
        count = source.count("\n")
        if count > MAX_FILE_LINES:
            yield f"{name}: {count} lines, at most {MAX_FILE_LINES}"


def check_function_length():
    """A function has at most 150 lines (kernels are exempt)."""
    for name in c_files() + c_files("tests/"):
        if name.startswith("src/kernels/") or not name.endswith(".c"):
            continue
        start = None
        for number, line in enumerate(code(name).splitlines(), 1):
            if re.match(r"[A-Za-z_].*\)\s*\{$|\s+.*\)\s*\{$", line) and start is None and not line.startswith("}"):
                start = number
            elif line.startswith("}"):
                if start is not None and number - start + 1 > MAX_FUNCTION_LINES:
                    yield f"{name}:{start}: function of {number - start + 1} lines, at most {MAX_FUNCTION_LINES}"
                start = None


def check_banned_functions():
    """No function without bounds or thread safety, no shell."""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for name in c_files() + c_files("tests/") + c_files("include/"):
        for where, match in lines_matching(name, code(name), pattern):
            function = match.group(1)
            if function == "setlocale" and is_test(name):
                continue  # a test that numbers do not depend on it
            if not name.startswith(BANNED_BUT.get(function, "-")):
                yield f"{where}: {function}() is banned"


def check_os_headers():
    """The operating system is called from base/os_*.c only."""
    pattern = re.compile(
        r"^\s*#\s*include\s+<((?:sys|arpa|net|netinet|linux)/[^>]+|" + "|".join(map(re.escape, OS_HEADERS)) + ")>"
    )
    for name in c_files() + c_files("include/"):
        if is_test(name) or name.startswith("src/base/os_"):
            continue
        for where, match in lines_matching(name, text(name), pattern):
            yield f"{where}: <{match.group(1)}> outside base/os_*.c"


def check_asserts_have_no_effect():
    """The expression of an assert changes nothing: release builds of others may drop it."""
    for name in c_files():
        for where, match in lines_matching(name, code(name), re.compile(r"(?<!\w)assert\s*\((.*)\)\s*;")):
            if re.search(r"\+\+|--|(?<![=!<>+\-*/&|^])=(?!=)", match.group(1)):
                yield f"{where}: assert with an effect"


def check_white_space():
    """No trailing white space, no carriage returns, tabs only in Makefiles, a line break at the end."""
    for name, source in files():
        if name == "LICENSE" or name.startswith("models/"):
            continue
        if source and not source.endswith("\n"):
            yield f"{name}: no line break at the end"
        if source.endswith("\n\n"):
            yield f"{name}: empty line at the end"
        pattern = re.compile(r"[ \t]+$|\r" + ("" if "Makefile" in name else r"|\t"))
        for where, match in lines_matching(name, source, pattern):
            yield f"{where}: {'tab or ' if chr(9) in match.group(0) else ''}trailing white space"


def check_line_length():
    """Lines of code have at most 128 columns; aim for 120 (tables in .def files are exempt)."""
    scripts = tuple(
        name for name in tree() if name.startswith(("tools/", ".ci/")) and "." not in pathlib.Path(name).name
    )
    for name, source in files(".c", ".h", ".py", ".sh", ".inc", "Makefile", "meson.build", *scripts):
        for number, line in enumerate(source.splitlines(), 1):
            if len(line) > MAX_COLUMNS:
                yield f"{name}:{number}: {len(line)} columns, at most {MAX_COLUMNS}"


def check_open_ends():
    """Open ends name an issue."""
    pattern = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b(?!.*#\d)")
    for name, source in files():
        for where, match in lines_matching(name, source, pattern):
            yield f"{where}: {match.group(1)} without the number of an issue"


def check_no_dead_code():
    """No code in comments, no `#if 0`."""
    comment = re.compile(r"^\s*//.*[;{}]\s*$|^\s*#\s*if\s+0\b")
    for name in c_files() + c_files("tests/"):
        for where, _ in lines_matching(name, text(name), comment):
            yield f"{where}: code that is switched off"


def check_no_paths_of_a_machine():
    """No path of somebody's machine."""
    for name, source in files():
        for where, match in lines_matching(name, source, FORBIDDEN):
            yield f"{where}: {match.group(0)}"


def check_room_readmes():
    """Each room has a README.md of at most a page."""
    for room in sorted({name.split("/")[1] for name in c_files()}):
        readme = f"src/{room}/README.md"
        if not (ROOT / readme).is_file():
            yield f"{readme} is missing"
        elif len((ROOT / readme).read_text().splitlines()) > 70:
            yield f"{readme}: more than a page (70 lines)"


def check_links():
    """Links between documents lead somewhere."""
    for name, source in files(".md"):
        for where, match in lines_matching(name, source, re.compile(r"\]\((?!\w+:)([^)#\s]+)")):
            if not (ROOT / name).parent.joinpath(match.group(1)).exists():
                yield f"{where}: {match.group(1)} does not exist"


def check_readme_is_true():
    """Numbers in the README's status table are those of the tests."""
    passed = len((ROOT / "tests/golden/conformance.txt").read_text().split())
    if f"{passed:,} pass" not in (ROOT / "README.md").read_text():
        yield f"README.md: {passed:,} node tests pass (tests/golden/conformance.txt)"


def compile_alone(command, names):
    flags = "-fsyntax-only -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function -D_GNU_SOURCE"
    for name in names:
        include = name.removeprefix("include/").removeprefix("src/")
        result = subprocess.run(
            [*command, *flags.split(), "-Iinclude", "-Isrc", "-Itests", "-"],
            cwd=ROOT,
            text=True,
            input=f'#include "{include}"\n#include "{include}"\n',
            capture_output=True,
        )
        if result.returncode:
            error = next((line for line in result.stderr.splitlines() if "error" in line), "does not compile")
            yield f"{name}: {error}"


def check_headers_compile_alone():
    """Every header can be included first, and twice; those of an instruction set (*_avx2.h) with its flags."""
    avx512 = [f"-mavx512{x}" for x in ("f", "bw", "dq", "vl")] + ["-mfma"]
    isa_flags = {
        "_avx2.h": ("x86_64", ["-mavx2", "-mfma"]),
        "_avx512.h": ("x86_64", avx512),
        "_neon.h": ("aarch64", []),
    }
    headers = [name for name in c_files() + c_files("include/") if name.endswith(".h")]
    command = ["cc", "-std=gnu17", "-x", "c"]
    yield from compile_alone(command, [name for name in headers if not name.endswith(tuple(isa_flags))])
    for end, (machine, flags) in isa_flags.items():
        if platform.machine() == machine:
            yield from compile_alone([*command, *flags], [name for name in headers if name.endswith(end)])


def check_public_headers_are_cxx():
    """Public headers are C++, too."""
    if not shutil.which("c++"):
        raise Skip("no C++ compiler")
    yield from compile_alone(["c++", "-std=c++17", "-x", "c++"], c_files("include/"))


def check_runtime_needs_only_libc():
    """libslipway-rt needs libc, libm and pthreads, and nothing else: links all of it and reads the dynamic section."""
    archive = BUILD / "libslipway-rt.a"
    if not archive.is_file():
        raise Skip("not built")
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder, "rt.so")
        link = subprocess.run(
            [
                "cc",
                "-shared",
                "-o",
                library,
                "-Wl,--no-undefined",
                "-Wl,--whole-archive",
                archive,
                "-Wl,--no-whole-archive",
                "-lm",
                "-lpthread",
            ],
            capture_output=True,
            text=True,
        )
        if link.returncode:
            yield link.stderr.strip()
            return
        dynamic = subprocess.run(["readelf", "-d", library], check=True, capture_output=True, text=True).stdout
    for needed in re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic):
        if not re.match(r"(libc|libm|libpthread|ld-linux[\w-]*)\.so", needed):
            yield f"needs {needed}"


def check_symbols_have_our_prefix():
    """Global names of the libraries begin with sw_."""
    archives = sorted(BUILD.glob("lib*.a"))
    if not archives:
        raise Skip("not built")
    names = subprocess.run(
        ["nm", "--defined-only", "--extern-only", "-A", *archives], capture_output=True, text=True
    ).stdout
    for where, symbol in re.findall(r"^(\S*):\S* [A-Z] (\S+)$", names, re.M):
        if not symbol.startswith(("sw_", "__")):
            yield f"{pathlib.Path(where).name}: {symbol}"


def check_format():
    """Changed lines are as clang-format would have them."""
    if not shutil.which("git-clang-format") or not (ROOT / ".git").exists():
        raise Skip("no git-clang-format or no git checkout")
    diff = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "clang-format", "--diff", "--quiet", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    for name in re.findall(r"^\+\+\+ b?/?(.*)$", diff.stdout, re.M):
        yield f"{name}: run make format"


def main():
    checks = {name[6:]: value for name, value in globals().items() if name.startswith("check_")}
    passed = failed = skipped = 0
    for name, check in checks.items():
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        try:
            breaches = list(check())
        except Skip as why:
            print(f"{name}: skipped: {why}")
            skipped += 1
            continue
        if breaches:
            print(f"FAILED {name}: {check.__doc__}")
            print("\n".join("  " + breach for breach in breaches[:20]))
            if len(breaches) > 20:
                print(f"  ... and {len(breaches) - 20} more")
        failed += bool(breaches)
        passed += not breaches
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
