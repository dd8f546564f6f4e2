/* reader.c — the bounds-checked cursor and UTF-8. See reader.h. */
#include "base/reader.h"

const uint8_t *reader_take(struct reader *r, size_t bytes)
{
    if (r->failed || bytes > r->size - r->at) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += bytes;
    return p;
}

static uint64_t little_endian(struct reader *r, size_t bytes)
{
    const uint8_t *p = reader_take(r, bytes);
    uint64_t value = 0;
    for (size_t i = bytes; p && i-- > 0;) value = value << 8 | p[i];
    return value;
}

uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)little_endian(r, 1);
}
uint16_t reader_u16(struct reader *r)
{
    return (uint16_t)little_endian(r, 2);
}
uint32_t reader_u32(struct reader *r)
{
    return (uint32_t)little_endian(r, 4);
}
uint64_t reader_u64(struct reader *r)
{
    return little_endian(r, 8);
}
size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : r->size - r->at;
}

/* ---- UTF-8 ------------------------------------------------------------------------------- */

static bool is_tail(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

size_t utf8_decode(const uint8_t *p, size_t left, uint32_t *code)
{
    if (!left) return 0;
    if (p[0] < 0x80) return *code = p[0], 1;
    size_t length = p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (!length || left < length) return 0;

    uint32_t value = p[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (!is_tail(p[i])) return 0;
        value = value << 6 | (p[i] & 0x3F);
    }
    bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    bool surrogate = value >= 0xD800 && value < 0xE000;
    if (overlong || surrogate || value > 0x10FFFF) return 0;
    *code = value;
    return length;
}

size_t utf8_length(const uint8_t *p, size_t left)
{
    uint32_t code;
    return utf8_decode(p, left, &code);
}

size_t utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) return out[0] = (char)code, 1;
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00u >> length & 0xFF) | code);
    return length;
}
