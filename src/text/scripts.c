/* scripts.c — where the script of a text changes. See scripts.h. */
#include "text/scripts.h"

#include "base/reader.h"
#include "text/unicode_scripts.h"

/* 0: none */
static unsigned script_of(uint32_t code)
{
    size_t low = 0, high = sizeof scripts / sizeof *scripts; /* the last start at or before the code */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (scripts[middle] >> SCRIPT_BITS <= code)
            low = middle;
        else
            high = middle;
    }
    return scripts[low] & ((1u << SCRIPT_BITS) - 1);
}

size_t script_change(const char *text, size_t length, size_t at, unsigned *script)
{
    for (size_t size; at < length; at += size) {
        uint32_t code = 0;
        size = utf8_decode((const uint8_t *)text + at, length - at, &code);
        unsigned found = script_of(code);
        if (found && found != *script) return *script = found, at;
        if (!size) size = 1; /* callers give valid UTF-8 */
    }
    return length;
}
