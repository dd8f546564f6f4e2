/* fuzz_tokenizer_json.c — a tokenizer.json from any bytes: it opens or is refused; if it opens, a text is
 * encoded and the ids decode. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static const char text[] = "The 12 caf\xC3\xA9s' it's <|im_end|> \xE6\x9D\xB1\xE4\xBA\xAC\n\n  x\xFFy e\xCC\x81 one";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct lorac_tokenizer *t)
{
    int32_t *ids;
    size_t count, length;
    char *back;
    if (lorac_tokenizer_encode(t, text, sizeof text - 1, 1, &ids, &count, NULL) != LORAC_OK) return;
    if (lorac_tokenizer_decode(t, ids, count, 0, &back, &length, NULL) != LORAC_OK) abort();
    lorac_free(back);
    lorac_free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {.limit = 256 << 20};
    struct lorac_tokenizer *t;
    if (tokenizer_open_json_bytes(&memory, (const char *)data, size, &t, NULL) == LORAC_OK) {
        round_trip(t);
        lorac_tokenizer_close(t);
    }
    if (memory.used) abort();
    return 0;
}
