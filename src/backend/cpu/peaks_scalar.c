/* peaks_scalar.c — plain C: 48 chains of multiply and add, which fill twelve of the baseline's vector registers. */
#include "backend/cpu/peaks.h"

#include <string.h>

enum { CHAINS = 48 };

static double f32(size_t rounds, float *sink)
{
    float a[CHAINS], x = 0.999f;
    for (int i = 0; i < CHAINS; i++) a[i] = (float)i; /* equal chains would be computed once */
    for (size_t r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + x;
    for (int i = 0; i < CHAINS; i++) *sink += a[i];
    return 2.0 * CHAINS * (double)rounds;
}

static void read_block(const uint8_t *block, size_t bytes, uint64_t *sink)
{
    uint64_t sum[4] = {0}, word[4];
    for (size_t i = 0; i + sizeof word <= bytes; i += sizeof word) {
        memcpy(word, block + i, sizeof word);
        for (int k = 0; k < 4; k++) sum[k] += word[k];
    }
    *sink += sum[0] + sum[1] + sum[2] + sum[3];
}

void peaks_scalar(struct cpu_peaks *p)
{
    *p = (struct cpu_peaks){.f32 = f32, .read = read_block};
}
