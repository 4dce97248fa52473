"""Syntax trees are made whole, whatever is collected meanwhile."""

import ast
import gc

SOURCE = "f(a, b)\n" * 200


class Parsing:
    """Garbage that parses, deeper in the stack, when it is collected."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        parse_deeper(20)


def parse_deeper(frames):
    return parse_deeper(frames - 1) if frames else ast.parse("f(a)")


def test_a_collection_does_not_disturb_the_parser():
    thresholds = gc.get_threshold()
    gc.collect()
    try:
        gc.set_threshold(1)
        for _ in range(20):
            gc.disable()
            Parsing()
            gc.enable()
            assert len(ast.parse(SOURCE).body) == 200
    finally:
        gc.enable()
        gc.set_threshold(*thresholds)
