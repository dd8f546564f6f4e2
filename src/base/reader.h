/* reader.h — a bounds-checked cursor over bytes that nobody vouches for. Little-endian.
 *
 * A read past the end sets `failed` and gives zeros; callers check once after a group of reads. */
#ifndef BASE_READER_H
#define BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
    const uint8_t *data;
    size_t size, at;
    bool failed;
};

const uint8_t *reader_take(struct reader *r, size_t bytes); /* NULL when there are fewer */
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
size_t reader_left(const struct reader *r);

/* UTF-8: the length (1 to 4) of the well-formed character at p, 0 if there is none (Unicode 15, table 3-7). */
size_t utf8_length(const uint8_t *p, size_t left);
/* The same with the code point; 0 if malformed. */
size_t utf8_decode(const uint8_t *p, size_t left, uint32_t *code);
size_t utf8_encode(uint32_t code, char out[4]); /* code must be a scalar value; returns 1 to 4 */

#endif
