"""Tests of PyTorch are skipped where it is not installed."""

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_torch*.py"]
    print("PyTorch is not installed: its tests are skipped")
