/* base64.c — see base64.h. */
#include "base/base64.h"

static int value_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

bool base64_read(const char *coded, size_t length, struct text *bytes)
{
    while (length && coded[length - 1] == '=') length--;
    uint32_t bits = 0;
    for (size_t i = 0; i < length; i++) {
        int value = value_of(coded[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 0) continue; /* six bits so far: no whole byte */
        uint8_t byte = (uint8_t)(bits >> (6 - i % 4 * 2));
        text_add(bytes, &byte, 1);
    }
    return length % 4 != 1;
}
