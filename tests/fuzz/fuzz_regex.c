/* fuzz_regex.c — an expression and a text, with a NUL between: the expression compiles or is refused; its matches go
 * forward, lie inside the text and cut no character. */
#include "text/regex.h"

#include "base/reader.h"
#include <stdlib.h>
#include <string.h>
#include "text/utf8.h"

enum { LONGEST_TEXT = 48 }; /* hard expressions take all the steps they are allowed */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

static void scan_all(const struct regex *regex, const struct text *text)
{
    struct regex_match *match;
    struct regex_scan scan;
    size_t start = 0, end = 0, before = 0;
    bool found = true;
    require(!regex_match_create(&match, NULL));
    require(!regex_scan_begin(&scan, regex, match, text->data ? text->data : "", text->length, NULL));
    while (!regex_scan_next(&scan, &found, &start, &end, NULL) && found) {
        require(before <= start && start <= end && end <= text->length);
        require(end == text->length || (text->data[end] & 0xC0) != 0x80);
        require(start == text->length || (text->data[start] & 0xC0) != 0x80);
        before = end;
    }
    regex_scan_end(&scan);
    regex_match_free(match);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {.limit = 64 << 20};
    struct regex *regex;
    struct text text = {.memory = &memory};
    const uint8_t *nul = memchr(data, 0, size);
    size_t length = nul ? (size_t)(nul - data) : size, rest = nul ? size - length - 1 : 0;
    if (!regex_compile(&memory, (const char *)data, length, false, NULL, &regex, NULL)) {
        utf8_mend(&text, (const char *)data + length + 1, rest < LONGEST_TEXT ? rest : LONGEST_TEXT);
        scan_all(regex, &text);
        text_free(&text);
        regex_free(regex);
    }
    require(memory.used == 0);
    return 0;
}
