"""Arrays that compiled code uses without counting who holds them.

Numba counts the holders of an array whenever compiled code takes a row of it, passes it on or takes
it out of a named tuple: an atomic instruction each time, in a kernel that does little with each of
many rows a third to a half of its time. Who calls such a kernel holds its arrays until it returns,
so there is nothing to count: `borrow` gives the same arrays without a counter, and `hold` keeps
arrays that were made on the way until there. What is borrowed must not be returned or kept.

Counters are the smaller part of it: an array is passed as ten words, a function that takes the
tables of a kernel pushes hundreds. Those that are called for each row or subject are therefore
made part of their callers (`forceinline`).
"""

from typing import TYPE_CHECKING, Any, TypeVar

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

T = TypeVar("T")

if TYPE_CHECKING:

    def borrow(held: T) -> T:
        """`held`, an array or a tuple of such things, uncounted: valid as long as `held` is."""

    def hold(held: object) -> int:
        """0; what `held` names is there at least until this is called."""

else:

    @intrinsic
    def borrow(typing: Any, held: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _uncounted(context, builder, signature.args[0], args[0])

        return held(held), codegen

    @intrinsic
    def hold(typing: Any, held: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return ir.Constant(ir.IntType(64), 0)

        return types.int64(held), codegen


def _uncounted(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """LLVM value of `value`, its arrays as `numba.carray` makes them: with no counter."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value=value)
        for part in ("meminfo", "parent"):
            setattr(array, part, ir.Constant(getattr(array, part).type, None))
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        kinds: tuple[Any, ...] = tuple(kind)  # type: ignore[arg-type]
        parts = [
            _uncounted(context, builder, part, builder.extract_value(value, n))
            for n, part in enumerate(kinds)
        ]
        return context.make_tuple(builder, kind, parts)
    return value
