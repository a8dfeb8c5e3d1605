#!/usr/bin/env python3
"""Writes src/base/power10_table.c: the leading 128 bits of the powers of ten, rounded up.

    scripts/generate-power10.py > src/base/power10_table.c

The range covers what printing (10^-292 to 10^324) and parsing (10^-342 to 10^308) need.
"""

FIRST, LAST = -342, 324

HEADER = f"""\
/*
 * Written by scripts/generate-power10.py; do not edit. Entry i is floor(10^k * 2^s) + 1 for
 * k = i {'-' if FIRST < 0 else '+'} {abs(FIRST)}, with s chosen so that the number has exactly 128 bits.
 */
#include "base/power10.h"

/* clang-format off */
const struct power10 power10_table[POWER10_LAST - POWER10_FIRST + 1] = {{"""


def entry(k):
    """floor(10^k * 2^s) + 1, normalised to 128 bits, and floor(log2(10^k))."""
    if k >= 0:
        log2 = (10**k).bit_length() - 1
        scaled = 10**k << 127 >> log2
    else:
        log2 = -(10**-k).bit_length()
        scaled = (1 << (127 - log2)) // 10**-k
    assert scaled.bit_length() == 128
    assert log2 == (k * 1741647) >> 19, "power10_floor_log2 is wrong"
    high, low = divmod(scaled + 1, 1 << 64)
    # The users take `high + 1` for the 64-bit entry and `value - 1` for the lower bound.
    assert low != 0 and high + 1 < 1 << 64
    return high, low


def main():
    print(HEADER)
    for k in range(FIRST, LAST + 1):
        high, low = entry(k)
        print(f"    {{UINT64_C(0x{high:016x}), UINT64_C(0x{low:016x})}}, /* 1e{k} */")
    print("};\n/* clang-format on */")


if __name__ == "__main__":
    main()
