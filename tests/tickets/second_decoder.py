"""A decoder of masks in whole numbers of Python, written from the text of `slt_bench.tickets.mask_coding` alone.

It uses nothing of the suite and not the library that encodes, so that both must agree on the format as it is described.
"""

from itertools import chain, repeat

MODULUS = 2**64


def decode(code, layers):
    """The bits of a mask as a list of 0 and 1.

    Args:
        code: bytes.
        layers: Pairs of the weights and the kept weights of each layer.
    """
    words = [int.from_bytes(code[start : start + 4], "little") for start in range(0, len(code), 4)]
    stream = chain(words, repeat(0))
    lower, width = 0, MODULUS - 1
    point = next(stream) * 2**32 + next(stream)
    bits = []
    for n, kept in layers:
        if kept in (0, n):
            bits += [int(kept == n)] * n
            continue
        zero = 1 + (n - kept) * (2**24 - 2) // n
        for _ in range(n):
            unit = width >> 24
            bit = int((point - lower) % MODULUS // unit >= zero)
            if bit:
                lower = (lower + unit * zero) % MODULUS
            width = unit * (2**24 - zero) if bit else unit * zero
            if width < 2**32:
                lower, width = lower * 2**32 % MODULUS, width * 2**32
                point = (point * 2**32 + next(stream)) % MODULUS
            bits.append(bit)
    return bits
