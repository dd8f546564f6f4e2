/* random.c — Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * The counter's words: 0 and 1 the caller's index, 2 the kind of draw (so that draws of two kinds with one
 * key and index are independent), 3 the attempt of a rejection loop. */
#include "base/random.h"

enum { ROUNDS = 10 };
enum draw { DRAW_U32, DRAW_UNIT, DRAW_BELOW };

void philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static uint32_t low(uint64_t x)
{
    return (uint32_t)x;
}
static uint32_t high(uint64_t x)
{
    return (uint32_t)(x >> 32);
}

/* Two chained blocks: five inputs are more than one counter holds. */
struct random_key random_key(uint64_t seed, enum random_use use, uint64_t a, uint64_t b, uint64_t c)
{
    uint32_t seeded[4], mixed[4];
    philox4x32((uint32_t[]){low(seed), high(seed)}, (uint32_t[]){(uint32_t)use, low(a), high(a), 0}, seeded);
    philox4x32(seeded, (uint32_t[]){low(b), high(b), low(c), high(c)}, mixed);
    return (struct random_key){{mixed[0], mixed[1]}};
}

static uint64_t draw64(struct random_key key, uint64_t index, enum draw kind, uint32_t attempt)
{
    uint32_t out[4];
    philox4x32(key.word, (uint32_t[]){low(index), high(index), (uint32_t)kind, attempt}, out);
    return (uint64_t)out[1] << 32 | out[0];
}

/* One block serves four neighbouring indices. */
uint32_t random_u32(struct random_key key, uint64_t index)
{
    uint32_t out[4];
    philox4x32(key.word, (uint32_t[]){low(index / 4), high(index / 4), DRAW_U32, 0}, out);
    return out[index % 4];
}

double random_unit(struct random_key key, uint64_t index)
{
    return (double)(draw64(key, index, DRAW_UNIT, 0) >> 11) * 0x1p-53;
}

/* Lemire's multiply-and-reject (ACM TOMACS 29(1), 2019): the high half of x · bound, unless the low half
 * falls into the 2^64 mod bound values that would favour some results. */
uint64_t random_below(struct random_key key, uint64_t index, uint64_t bound)
{
    if (bound < 2) return 0;
    uint64_t reject = -bound % bound;
    for (uint32_t attempt = 0;; attempt++) {
        unsigned __int128 product = (unsigned __int128)draw64(key, index, DRAW_BELOW, attempt) * bound;
        if ((uint64_t)product >= reject) return (uint64_t)(product >> 64);
    }
}

void random_permutation(struct random_key key, size_t *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t j = (size_t)random_below(key, i, (uint64_t)i + 1); /* the inside-out form: i takes j's place */
        items[i] = items[j];
        items[j] = i;
    }
}
