"""Give the code of a function an `except` clause around its body, which costs nothing until something is raised.

A wrapper would cost each call of it a frame and its arguments anew: half as much as a small validation. So the
function's own source is compiled a second time, within `try`; names, lines and columns stay what tracebacks show.
"""

from __future__ import annotations
import __future__

import ast
import inspect
from types import CodeType
from typing import Any, Final

_STANDS_FOR_LISTENER: Final = "spanguard's listener"
_CLAUSE: Final = f"""
try:
    pass
except {_STANDS_FOR_LISTENER!r}.listens_to as _spanguard_error:
    {_STANDS_FOR_LISTENER!r}.failed(_spanguard_error, THE_FIRST_ARGUMENT)
    raise
"""


class SourceDiffersError(Exception):
    """The source of a function is not there, or is not what it was compiled from."""


def recompile(code: CodeType, listener: Any) -> CodeType:
    """Return the code that, when its body raises a `listener.listens_to`, first calls `listener.failed(error, argument)`.

    Args:
        code: that of a plain function with at least one argument, whose first is the `argument`.
        listener: becomes a constant of the code; no global name is needed, so a frame that is running when the code is
            taken away again still finds it.

    Raises:
        SourceDiffersError: the function's source is not there, or not the one that `code` is compiled from.
    """
    function = _parse(code)
    if not _are_alike(_compile(function, code), code):
        raise SourceDiffersError(f"the source of {code.co_qualname} is not what it was compiled from")
    _add_clause(function)
    new = _compile(function, code)
    constants = tuple(listener if constant == _STANDS_FOR_LISTENER else constant for constant in new.co_consts)
    return new.replace(co_consts=constants, co_qualname=code.co_qualname)


def _parse(code: CodeType) -> ast.FunctionDef:
    try:
        source = inspect.getsource(code)
        # A method is indented, so something stands above it; the lines are then one too many.
        tree = ast.parse(("if True:\n" if source[:1].isspace() else "\n") + source)
    except (OSError, TypeError, SyntaxError) as error:
        raise SourceDiffersError(f"the source of {code.co_qualname} is not there") from error
    found = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None)
    if found is None:
        raise SourceDiffersError(f"the source of {code.co_qualname} is not a function's")
    return ast.increment_lineno(found, code.co_firstlineno - 2)


def _compile(function: ast.FunctionDef, like: CodeType) -> CodeType:
    flags = like.co_flags & __future__.annotations.compiler_flag
    module = compile(ast.Module([function], []), like.co_filename, "exec", flags, dont_inherit=True)
    return next(found for found in module.co_consts if isinstance(found, CodeType) and found.co_name == like.co_name)


def _are_alike(new: CodeType, old: CodeType) -> bool:
    # Not the instructions: how a call is compiled depends on what the rest of the module imports.
    return _traits(new) == _traits(old)


def _traits(code: CodeType) -> tuple[object, ...]:
    constants = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    lines = {line for _, _, line in code.co_lines()}
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return (*names, code.co_flags | inspect.CO_NESTED, constants, lines)


def _add_clause(function: ast.FunctionDef) -> None:
    (clause,) = ast.parse(_CLAUSE).body
    assert isinstance(clause, ast.Try)  # noqa: S101 - for the type checker
    first = (*function.args.posonlyargs, *function.args.args)[0].arg
    at = function.body[-1]
    for node in ast.walk(clause):
        ast.copy_location(node, at)
        if isinstance(node, ast.Name) and node.id == "THE_FIRST_ARGUMENT":
            node.id = first
    documentation = 1 if ast.get_docstring(function, clean=False) is not None else 0
    clause.body = function.body[documentation:]
    function.body[documentation:] = [clause]
