"""Finds out what a model gives by running it on made-up rows: with two rows, then with three.

What differs between the two runs is a free dimension. A model that refuses made-up rows has outputs
of which nothing is known; that is no error.
"""

import warnings

import numpy as np

from onnxd_worker import protocol
from onnxd_worker.tensors import dtype_number, numpy_dtype

# What a free dimension other than the first is tried with: the smallest, then sizes that images
# and sequences often have.
_FREE_SIZES = (1, 8, 32, 64, 224)


def rows_for(ports, rows, free):
    """Zeros (empty strings) of the ports' shapes; None where a rank is not known."""
    arrays = []
    for port in ports:
        if port.shape is None:
            return None
        shape = [free if size < 0 else size for size in port.shape]
        if port.shape and port.shape[0] < 0:
            shape[0] = rows
        filler = "" if port.dtype == protocol.STRING else 0
        arrays.append(np.full(shape, filler, numpy_dtype(port.dtype or protocol.FLOAT32)))
    return arrays


def quietly(run, *arguments, fatal=()):
    """run(...) without its warnings; None where it fails, which `run` may do in any way but the fatal ones."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return run(*arguments)
        except fatal:
            raise
        except (Exception, SystemExit):
            return None


def try_model(ports, run):
    """Two results of run(arrays), of two and three rows, or None. Free dimensions differ where that works."""
    has_free = any(size < 0 for port in ports for size in (port.shape or ())[1:])
    for free in _FREE_SIZES if has_free else (1,):
        arrays = rows_for(ports, 2, free)
        first = None if arrays is None else quietly(run, arrays)
        if first is None:
            continue
        for other in (free + 1, free * 2, free) if has_free else (1,):
            second = quietly(run, rows_for(ports, 3, other))
            if second is not None:
                return first, second
        return first, first
    return None


def describe(port, first, second):
    """Fills in the dtype and the shape that two trial outputs (arrays) show."""
    if not port.dtype:
        port.dtype = dtype_number(first.dtype) if first.dtype == second.dtype else protocol.UNKNOWN
    if port.shape is None and first.ndim == second.ndim and first.ndim <= protocol.RANK_MAX:
        port.shape = [a if a == b else -1 for a, b in zip(first.shape, second.shape)]
        if first is second and port.shape:
            port.shape[0] = -1
    return port
