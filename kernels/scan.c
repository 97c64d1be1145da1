/* The scan h_t = exp(delta_t A) h_(t-1) + x_t B_t, y_t = C_t . h_t and its gradients, for kernels/native.py.
 *
 * Row-major float arrays: x, delta, y (rows, time, dim); A (state, dim); B, C (rows, time, state);
 * h (rows, state, dim).
 * Channels are worked on in blocks, so that the states of all times of a block stay in cache.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK = 64 };

/* exp(v): 2^k through the bits of the exponent, the rest a polynomial; 0 below -87, and exp(88) above 88. */
static inline float exp_of(float v)
{
    float clamped = v < -87.0f ? -87.0f : v > 88.0f ? 88.0f : v;
    float shifted = clamped * 1.44269504f + 12582912.0f;
    float k = shifted - 12582912.0f;
    float r = clamped - k * 0.693145752f;
    r -= k * 1.42860677e-6f;
    float p = 1.98756915e-4f;
    p = p * r + 1.39819995e-3f;
    p = p * r + 8.33345191e-3f;
    p = p * r + 4.16657959e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 5.00000012e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000;
    float power;
    memcpy(&power, &bits, sizeof power);
    return v < -87.0f ? 0.0f : p * power;
}

/* The states of one row and block: decay (time, state, BLOCK), states (time + 1, state, BLOCK) after its first. */
static void states_of(ptrdiff_t time, ptrdiff_t dim, ptrdiff_t state, ptrdiff_t width, const float *x,
                      const float *delta, const float *A, const float *B, float *decay, float *states)
{
    for (ptrdiff_t t = 0; t < time; t++) {
        for (ptrdiff_t n = 0; n < state; n++) {
            const float *restrict h = states + (t * state + n) * BLOCK, *restrict a = A + n * dim;
            const float *restrict xt = x + t * dim, *restrict dt = delta + t * dim;
            float *restrict e = decay + (t * state + n) * BLOCK;
            float *restrict next = states + ((t + 1) * state + n) * BLOCK;
            float b = B[t * state + n];
            for (ptrdiff_t d = 0; d < width; d++) {
                e[d] = exp_of(dt[d] * a[d]);
                next[d] = e[d] * h[d] + xt[d] * b;
            }
        }
    }
}

static void load(float *block, const float *h, ptrdiff_t state, ptrdiff_t dim, ptrdiff_t width)
{
    for (ptrdiff_t n = 0; n < state; n++)
        memcpy(block + n * BLOCK, h + n * dim, (size_t)width * sizeof(float));
}

static void store(float *h, const float *block, ptrdiff_t state, ptrdiff_t dim, ptrdiff_t width)
{
    for (ptrdiff_t n = 0; n < state; n++)
        memcpy(h + n * dim, block + n * BLOCK, (size_t)width * sizeof(float));
}

/* scratch: (2 * time + 1) * state * BLOCK floats */
void scan_forward(ptrdiff_t rows, ptrdiff_t time, ptrdiff_t dim, ptrdiff_t state, const float *x,
                  const float *delta, const float *A, const float *B, const float *C, const float *h, float *y,
                  float *last, float *scratch)
{
    float *decay = scratch, *states = scratch + time * state * BLOCK;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const float *Br = B + r * time * state, *Cr = C + r * time * state;
        for (ptrdiff_t d0 = 0; d0 < dim; d0 += BLOCK) {
            ptrdiff_t width = dim - d0 < BLOCK ? dim - d0 : BLOCK, at = r * time * dim + d0;
            load(states, h + r * state * dim + d0, state, dim, width);
            states_of(time, dim, state, width, x + at, delta + at, A + d0, Br, decay, states);
            store(last + r * state * dim + d0, states + time * state * BLOCK, state, dim, width);
            for (ptrdiff_t t = 0; t < time; t++) {
                float sum[BLOCK] = {0};
                for (ptrdiff_t n = 0; n < state; n++) {
                    const float *restrict now = states + ((t + 1) * state + n) * BLOCK;
                    float c = Cr[t * state + n];
                    for (ptrdiff_t d = 0; d < width; d++)
                        sum[d] += c * now[d];
                }
                memcpy(y + at + t * dim, sum, (size_t)width * sizeof(float));
            }
        }
    }
}

/* Gradients from dy and dlast. dA is added to; scratch: (2 * time + 2) * state * BLOCK floats. */
void scan_backward(ptrdiff_t rows, ptrdiff_t time, ptrdiff_t dim, ptrdiff_t state, const float *x,
                   const float *delta, const float *A, const float *B, const float *C, const float *h,
                   const float *dy, const float *dlast, float *dx, float *ddelta, float *dA, float *dB, float *dC,
                   float *dh, float *scratch)
{
    float *decay = scratch, *states = decay + time * state * BLOCK, *g = states + (time + 1) * state * BLOCK;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const float *Br = B + r * time * state, *Cr = C + r * time * state;
        float *dBr = dB + r * time * state, *dCr = dC + r * time * state;
        memset(dBr, 0, (size_t)(time * state) * sizeof(float));
        memset(dCr, 0, (size_t)(time * state) * sizeof(float));
        for (ptrdiff_t d0 = 0; d0 < dim; d0 += BLOCK) {
            ptrdiff_t width = dim - d0 < BLOCK ? dim - d0 : BLOCK, at = r * time * dim + d0;
            load(states, h + r * state * dim + d0, state, dim, width);
            states_of(time, dim, state, width, x + at, delta + at, A + d0, Br, decay, states);
            load(g, dlast + r * state * dim + d0, state, dim, width);
            for (ptrdiff_t t = time - 1; t >= 0; t--) {
                const float *restrict xt = x + at + t * dim, *restrict dt = delta + at + t * dim;
                const float *restrict dyt = dy + at + t * dim;
                float sum_x[BLOCK] = {0}, sum_delta[BLOCK] = {0};
                for (ptrdiff_t n = 0; n < state; n++) {
                    const float *restrict before = states + (t * state + n) * BLOCK;
                    const float *restrict now = before + state * BLOCK;
                    const float *restrict e = decay + (t * state + n) * BLOCK;
                    const float *restrict a = A + n * dim + d0;
                    float *restrict gn = g + n * BLOCK, *restrict dAn = dA + n * dim + d0;
                    float b = Br[t * state + n], c = Cr[t * state + n], sum_b = 0, sum_c = 0;
#pragma omp simd reduction(+ : sum_b, sum_c)
                    for (ptrdiff_t d = 0; d < width; d++) {
                        float grad = gn[d] + c * dyt[d];
                        sum_c += now[d] * dyt[d];
                        sum_b += grad * xt[d];
                        sum_x[d] += grad * b;
                        grad *= e[d];
                        gn[d] = grad;
                        float through = grad * before[d];
                        sum_delta[d] += through * a[d];
                        dAn[d] += through * dt[d];
                    }
                    dBr[t * state + n] += sum_b;
                    dCr[t * state + n] += sum_c;
                }
                memcpy(dx + at + t * dim, sum_x, (size_t)width * sizeof(float));
                memcpy(ddelta + at + t * dim, sum_delta, (size_t)width * sizeof(float));
            }
            store(dh + r * state * dim + d0, g, state, dim, width);
        }
    }
}
