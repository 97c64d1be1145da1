#include "points.h"

#include "philox.h"

struct edgegen_points edgegen_points(uint64_t seed, uint64_t flow) {
    /* 2^64 over the plastic number's second and first power. */
    const uint64_t label_step = 0x91E10DA5C79E7B1Du, flow_step = 0xC13FA9A902A6328Fu;
    const struct edgegen_block start = edgegen_words(seed, 0, 0, EDGEGEN_POINTS);
    return (struct edgegen_points){((uint64_t)start.word[0] << 32 | start.word[1]) + flow * label_step,
                                   ((uint64_t)start.word[2] << 32 | start.word[3]) + flow * flow_step};
}

struct edgegen_stretched edgegen_stretch(uint64_t point, uint32_t fresh, uint64_t total) {
    const uint64_t point_high = point >> 32, point_low = (uint32_t)point;
    const uint64_t total_high = total >> 32, total_low = (uint32_t)total;
    const uint64_t more = fresh * total_high + (fresh * total_low >> 32);
    /* point * total + more, 32 bits at a time. */
    const uint64_t low = point_low * total_low + (uint32_t)more;
    const uint64_t middle = point_low * total_high + (more >> 32) + (low >> 32);
    const uint64_t upper = point_high * total_low + (uint32_t)middle;
    return (struct edgegen_stretched){point_high * total_high + (middle >> 32) + (upper >> 32),
                                      upper << 32 | (uint32_t)low};
}

uint64_t edgegen_point_in(struct edgegen_stretched stretched, uint64_t before, uint32_t weight) {
    const uint64_t left = (stretched.whole - before) << 32 | stretched.fraction >> 32;
    const uint64_t rest = left % weight << 32 | (uint32_t)stretched.fraction;
    return left / weight << 32 | rest / weight;
}
