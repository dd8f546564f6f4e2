/* bytelevel.c — bytes as printable characters. See bytelevel.h. */
#include "text/bytelevel.h"

#include "base/reader.h"

static bool is_printable(int byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

void byte_alphabet_init(struct byte_alphabet *a)
{
    uint16_t next = 0x100;
    for (int code = 0; code < 0x144; code++) a->byte[code] = -1;
    for (int byte = 0; byte < 256; byte++) {
        a->code[byte] = is_printable(byte) ? (uint16_t)byte : next++;
        a->byte[a->code[byte]] = (int16_t)byte;
    }
}

void byte_level_spell(const struct byte_alphabet *a, struct text *out, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char character[4];
        text_add(out, character, utf8_encode(a->code[bytes[i]], character));
    }
}

void byte_level_read(const struct byte_alphabet *a, struct text *out, const char *spelled, size_t length)
{
    const uint8_t *p = (const uint8_t *)spelled;
    size_t before = out->length, step;
    for (size_t at = 0; at < length; at += step) {
        uint32_t code;
        step = utf8_decode(p + at, length - at, &code);
        if (!step || code >= 0x144 || a->byte[code] < 0) {
            out->length = before;
            text_add(out, spelled, length);
            return;
        }
        uint8_t byte = (uint8_t)a->byte[code];
        text_add(out, &byte, 1);
    }
}
