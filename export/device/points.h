/* Where flows lie among all that a generator could make: edgegen/runtime/points.py in C, the same bits. */
#ifndef EDGEGEN_POINTS_H
#define EDGEGEN_POINTS_H

#include <stdint.h>

/* Those of a flow's label and of the flow itself: points of [0, 1) in 64 bits. */
struct edgegen_points {
    uint64_t label, flow;
};

struct edgegen_points edgegen_points(uint64_t seed, uint64_t flow);

/* A point stretched by a sum of weights, below 2^40: whole lies in the choice that it means, and with the fraction in
 * where in that choice the next point is. fresh: a random word, for what lies below the point's last bit */
struct edgegen_stretched {
    uint64_t whole, fraction;
};

struct edgegen_stretched edgegen_stretch(uint64_t point, uint32_t fresh, uint64_t total);

/* The next point, where a choice of a weight, not zero, starts at `before`. */
uint64_t edgegen_point_in(struct edgegen_stretched stretched, uint64_t before, uint32_t weight);

#endif
