"""Keep the garbage collector out of Python's parser, whose depth it can disturb before 3.11.8."""

import ast
import builtins
import gc
import sys
from typing import Any


def parse_undisturbed() -> None:
    """Let `compile` make syntax trees without a collection in between.

    Python before 3.11.8 counts the depth of all its parsers in one variable (gh-106905). When an
    object that is collected while a tree is made lets another thread run, or parses itself, and
    that thread parses too, the first fails with "SystemError: AST constructor recursion depth
    mismatch". Here it is hypothesis, pytest or schemathesis in one thread, and in another a
    service that reads an array.
    """
    if sys.version_info >= (3, 11, 8):
        return
    compiled = builtins.compile

    def compiled_undisturbed(
        source: Any, filename: Any, mode: str, flags: int = 0, *args: Any, **options: Any
    ) -> Any:
        if not flags & ast.PyCF_ONLY_AST or not gc.isenabled():
            return compiled(source, filename, mode, flags, *args, **options)
        gc.disable()
        try:
            return compiled(source, filename, mode, flags, *args, **options)
        finally:
            gc.enable()

    builtins.compile = compiled_undisturbed
