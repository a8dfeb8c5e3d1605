"""150 points in three groups: something to learn for the examples whose Python has no scikit-learn."""

import numpy

CENTRES = [[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]]


def make_points():
    """(points [150, 4] in float32, group of each): the same ones every time."""
    groups = numpy.repeat(numpy.arange(len(CENTRES)), 50)
    noise = numpy.random.default_rng(3).normal(0, 0.3, (len(groups), 4))
    return (numpy.array(CENTRES)[groups] + noise).astype(numpy.float32), groups
