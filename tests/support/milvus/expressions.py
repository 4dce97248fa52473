"""Expressions of Milvus evaluated here: those that we write are also Python, of which this is part.

A comparison with a field that is missing, or of another type, is false, as it is in Milvus.
"""

import ast
import operator

COMPARE = {
    ast.Eq: operator.eq,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, several: one in several,
}
MISSING = object()


def is_met(expression, key, row):
    """Whether a row with a key and the given fields meets an expression."""
    return _value(ast.parse(expression, mode="eval").body, {"key": key, "fields": row})


def _value(node, names):
    match node:
        case ast.Constant(value):
            return value
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, names)
        case ast.UnaryOp(ast.Not(), operand):
            return not _value(operand, names)
        case ast.BoolOp(ast.And(), values):
            return all(_value(one, names) for one in values)
        case ast.BoolOp(ast.Or(), values):
            return any(_value(one, names) for one in values)
        case ast.List(elements):
            return [_value(one, names) for one in elements]
        case ast.Name(name):
            return names[name]
        case ast.Subscript(of, place):
            return _value(of, names).get(_value(place, names), MISSING)
        case ast.Compare(left, [how], [right]):
            one, other = _value(left, names), _value(right, names)
            kinds = {type(each) for each in (other if isinstance(other, list) else [other])}
            assert len(kinds) == 1, "Milvus takes values of one type"
            return type(one) in kinds and COMPARE[type(how)](one, other)
        case ast.Call(ast.Name("json_contains_any"), [left, right]):
            one, other = _value(left, names), _value(right, names)
            return isinstance(one, list) and any(each in one for each in other)
    raise AssertionError(ast.dump(node))
