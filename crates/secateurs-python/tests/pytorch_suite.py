"""PyTorch's own tests of pruning, run on this package in two ways.

    python tests/pytorch_suite.py path/to/pytorch/test/nn/test_pruning.py

It needs `expecttest`, as PyTorch's tests do. Nothing is fetched: the file comes from a checkout of PyTorch,
of the version that is installed. It is run

- with its import changed, `import torch.nn.utils.prune as prune` to `import secateurs.torch.prune as prune`;
- unchanged, after `secateurs.torch.install()`;
- and, to compare, unchanged and without this package.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

IMPORT = "import torch.nn.utils.prune as prune"
CHANGED = "import secateurs.torch.prune as prune"
INSTALL = "import secateurs.torch; secateurs.torch.install(); assert secateurs.torch.installed()\n"


def run(title, text):
    """The number of tests, and of those that did not pass."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test_pruning.py"
        file.write_text(text)
        command = [sys.executable, str(file)]
        # PyTorch's runner reads its own arguments, and writes unittest's report to the standard error.
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    found = re.search(r"^Ran (\d+) tests?", done.stderr, re.MULTILINE)
    if not found:
        sys.exit(f"{title}: no test ran\n{done.stderr}")
    ran = int(found[1])
    wrong = sum(int(number) for number in re.findall(r"(?:failures|errors|skipped)=(\d+)", done.stderr))
    if done.returncode != 0 and wrong == 0:
        wrong = ran
    print(f"{title}: {ran - wrong} of {ran} pass")
    if wrong:
        print(done.stderr)
    return ran, wrong


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    text = Path(sys.argv[1]).read_text()
    if text.count(IMPORT) != 1:
        sys.exit(f"the file has no line `{IMPORT}`")
    counts = [
        run("PyTorch", text),
        run("import changed", text.replace(IMPORT, CHANGED)),
        run("after install()", INSTALL + text),
    ]
    same = len({ran for ran, _ in counts}) == 1
    sys.exit(0 if same and not any(wrong for _, wrong in counts[1:]) else 1)


if __name__ == "__main__":
    main()
