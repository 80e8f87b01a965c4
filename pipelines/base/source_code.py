"""Digests of source code that ignore comments, docstrings and layout."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path
from threading import Lock

PARSING = Lock()

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def normalised_source(path: Path) -> str:
    """Return the SHA-256 of a Python file's syntax tree without docstrings and positions.

    Two files that differ only in comments, docstrings or formatting have the same digest.
    It depends on the version of the running Python, which is part of a trial's key as well.
    """
    return _digest(path.read_bytes(), str(path))


def parse_source(source: bytes, name: str) -> ast.Module:
    """Return the syntax tree of Python source, one thread at a time.

    In Python 3.11, threads that parse at the same time can end in "SystemError: AST constructor
    recursion depth mismatch".
    """
    with PARSING:
        return ast.parse(source, filename=name)


@lru_cache(maxsize=256)
def _digest(source: bytes, name: str) -> str:
    tree = parse_source(source, name)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
