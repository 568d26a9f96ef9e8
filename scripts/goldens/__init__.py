"""One kind of golden data per file; `../goldens.py` is the entry."""
