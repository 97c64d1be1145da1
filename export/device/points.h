/* Where flows lie among all that a generator could make: edgegen/runtime/points.py in C, the same bits. */
#ifndef EDGEGEN_POINTS_H
#define EDGEGEN_POINTS_H

#include <stdint.h>

/* A part of [0, 1) that a flow's point is known to lie in: number `at` of as many as `of`, at most 2^12. */
struct edgegen_cell {
    uint32_t at, of;
};

/* The point of a flow's label, in 64 bits, and the cell of the flow itself. */
uint64_t edgegen_label_point(uint64_t seed, uint64_t flow);
struct edgegen_cell edgegen_first_cell(uint64_t seed, uint64_t flow);

/* A point in the cell, stretched by a sum of weights, below 2^40, and the number of cells: divided by the latter, it is
 * below the sum of the weights up to the choice, and not below that of those before. fresh: a random word, for where in
 * the cell it is */
uint64_t edgegen_stretch(struct edgegen_cell cell, uint32_t fresh, uint64_t total);

/* The cell that is left, where a choice of a weight, not zero, starts at `before`. */
struct edgegen_cell edgegen_cell_in(struct edgegen_cell cell, uint64_t stretched, uint64_t before, uint32_t weight,
                                    uint64_t total);

#endif
