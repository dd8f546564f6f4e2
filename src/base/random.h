/* random.h — counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * A number depends on its key and counter alone, never on what was drawn before: recomputation,
 * resuming and threads change no bit. The golden values are those of the paper's reference vectors. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* What a stream is for; part of the key, so that streams of one seed never meet. */
enum random_use { RANDOM_INIT = 1, RANDOM_SHUFFLE, RANDOM_DROPOUT, RANDOM_SAMPLE, RANDOM_TEST };

struct random_key {
    uint32_t word[2];
};

void philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
/* A key from a seed, a use and three numbers that name the stream (layer, module, step ...). */
struct random_key random_key(uint64_t seed, enum random_use use, uint64_t a, uint64_t b, uint64_t c);
uint32_t random_u32(struct random_key key, uint64_t index);
double random_unit(struct random_key key, uint64_t index);                    /* in [0, 1), 53 bits */
uint64_t random_below(struct random_key key, uint64_t index, uint64_t bound); /* unbiased for bound < 2^32 */
void random_permutation(struct random_key key, size_t *items, size_t count);  /* 0..count-1, Fisher-Yates */

#endif
