"""Frequent requests are encoded once per shape; each further one is the same bytes with new values.

In a flatbuffer the values of a message do not move anything as long as every string keeps its
length and no field appears or goes. So a request is described by a *shape* (all that decides the
layout, as a hashable key) and its *values* (ids, SSRCs: bytes, in an agreed order). On the first
request of a shape the naive encoder runs twice with made-up values; the bytes that differ between
the two runs are the holes, and what is written in them tells which value belongs where.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

Values = Sequence[bytes]
"""In an order that the shape's owner chose: numbers as 4 bytes, little endian; strings in UTF-8."""

MAX_HOLES = 45
"""As many values as have a mark of their own below."""
_FIRST_MARK = 0x21
_SHIFT = MAX_HOLES


class Template:
    """The encoding of one shape, as constant pieces with holes between them."""

    __slots__ = ("_order", "_parts")

    def __init__(self, parts: list[bytes], order: list[int]) -> None:
        """`parts[2 * k + 1]` is the hole for value number `order[k]`."""
        self._parts = parts
        self._order = order

    def render(self, values: Values) -> bytes:
        """The request with these values, which must be as long as the shape says."""
        parts = self._parts.copy()
        parts[1::2] = [values[i] for i in self._order]
        return b"".join(parts)


class TemplateCache:
    """Templates by shape, the least recently used forgotten first.

    Shapes depend on what browsers send, so their number must be bounded.
    """

    def __init__(self, max_templates: int = 512) -> None:
        self._max = max_templates
        self._templates: OrderedDict[Hashable, Template] = OrderedDict()

    def __len__(self) -> int:
        return len(self._templates)

    def render(self, shape: Hashable, values: Values, encode: Callable[[Values], bytes]) -> bytes:
        """The request of this shape with these values; `encode` is its naive encoder."""
        template = self._templates.get(shape)
        if template is None:
            if len(values) > MAX_HOLES:
                return encode(values)
            template = self._templates[shape] = make_template(list(map(len, values)), encode)
            if len(self._templates) > self._max:
                self._templates.popitem(last=False)
        else:
            self._templates.move_to_end(shape)
        return template.render(values)


TEMPLATES = TemplateCache()
"""For all workers of this process."""


def make_template(lengths: Sequence[int], encode: Callable[[Values], bytes]) -> Template:
    """Finds the holes for values of these lengths in what `encode` makes."""
    frame = encode([bytes([_FIRST_MARK + i]) * n for i, n in enumerate(lengths)])
    other = encode([bytes([_FIRST_MARK + _SHIFT + i]) * n for i, n in enumerate(lengths)])
    if len(frame) != len(other):
        raise AssertionError("the layout depends on the values, not on the shape alone")
    marks = [i for i, (a, b) in enumerate(zip(frame, other, strict=True)) if a != b]
    parts: list[bytes] = []
    order: list[int] = []
    done = at = 0
    while at < len(marks):
        start = marks[at]
        value = frame[start] - _FIRST_MARK
        end = start + lengths[value]
        if marks[at : at + lengths[value]] != list(range(start, end)):
            raise AssertionError(f"value {value} is not in one piece")
        parts += [frame[done:start], b""]
        order.append(value)
        done, at = end, at + lengths[value]
    parts.append(frame[done:])
    if sorted(order) != [i for i, n in enumerate(lengths) if n]:
        raise AssertionError("every value must be in the message exactly once")
    return Template(parts, order)
