"""Bits at any place of a byte array, compiled by numba.

Bits are read and written eight bytes at a time at any byte, which numpy has no word for: hence the intrinsics. All
indices are unsigned, because numba spends a branch on a signed one that might count from the end.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

U = np.uint64


@intrinsic
def load64(typing_context, array, at):
    """Eight little-endian bytes of a byte array, at any byte."""

    def generate(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(array, types.uint64), generate


@intrinsic
def store64(typing_context, array, at, value):
    """Write eight little-endian bytes into a byte array, at any byte."""

    def generate(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(64).as_pointer())
        builder.store(args[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64), generate


@intrinsic
def leading_zeros(typing_context, value):
    """Number of zero bits above the highest set bit; `value` is not 0."""

    def generate(context, builder, signature, args):
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@njit(cache=True)
def window(payload, bit, last):
    """The bits from `bit` on, at least 56 of them; what lies past the last readable byte is of no consequence."""
    return load64(payload, min(bit >> U(3), last)) >> (bit & U(7))


@njit(cache=True)
def pack_fields(fields, width_bits, packed):
    """Write each field's lowest `width_bits` (at most 32); `packed` has eight bytes to spare."""
    pending, n_pending, at = U(0), U(0), U(0)
    for field in fields:
        pending |= U(field) << n_pending
        n_pending += U(width_bits)
        store64(packed, at, pending)
        at += n_pending >> U(3)
        pending >>= n_pending & U(56)
        n_pending &= U(7)
    store64(packed, at, pending)


@njit(cache=True)
def unpack_fields(packed, width_bits, fields):
    """The inverse; `packed` has eight bytes to spare."""
    mask, last = (U(1) << U(width_bits)) - U(1), U(len(packed) - 8)
    for i in range(len(fields)):
        fields[i] = window(packed, U(i) * U(width_bits), last) & mask
