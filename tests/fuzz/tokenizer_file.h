/* tokenizer_file.h — a tokenizer's file from any bytes: it opens or is refused; if it opens, a text is encoded, and the
 * ids decode at once as they do streamed. */
#ifndef FUZZ_TOKENIZER_FILE_H
#define FUZZ_TOKENIZER_FILE_H

#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static const char text[] =
    " The 12 caf\xC3\xA9s' it's <s> \xE6\x9D\xB1\xE4\xBA\xAC\n\n  x\xFFy e\xCC\x81 one \xE2\x96\x81";

static void require(bool holds)
{
    if (!holds) abort();
}

static void stream(const struct lorac_tokenizer *t, const int32_t *ids, size_t count, const char *whole, size_t length)
{
    lorac_detokenizer *d;
    const char *piece;
    size_t part, at = 0;
    require(!lorac_detokenizer_create(t, 0, &d, NULL));
    for (size_t i = 0; i <= count; i++, at += part) {
        require(!(i < count ? lorac_detokenizer_push(d, ids[i], &piece, &part, NULL)
                            : lorac_detokenizer_flush(d, &piece, &part, NULL)));
        require(part <= length - at && !memcmp(whole + at, piece, part));
    }
    require(at == length);
    lorac_detokenizer_free(d);
}

static void round_trip(const struct lorac_tokenizer *t)
{
    int32_t *ids;
    size_t count, length;
    char *back;
    if (lorac_tokenizer_encode(t, text, sizeof text - 1, 1, &ids, &count, NULL) != LORAC_OK) return;
    require(!lorac_tokenizer_decode(t, ids, count, 0, &back, &length, NULL));
    stream(t, ids, count, back, length);
    lorac_free(back);
    lorac_free(ids);
}

typedef lorac_status (*file_reader)(struct lorac_tokenizer *t, const uint8_t *bytes, size_t size, const json_t *config,
                                    lorac_error *err);

static void try_file(const char *name, file_reader read, const uint8_t *data, size_t size)
{
    struct memory memory = {.limit = 256 << 20};
    struct lorac_tokenizer *t = tokenizer_new(&memory, name);
    require(t);
    lorac_status status = read(t, data, size, NULL, NULL);
    if (status == LORAC_OK) status = tokenizer_finish(t, NULL);
    if (status == LORAC_OK) round_trip(t);
    lorac_tokenizer_close(t);
    require(memory.used == 0);
}

#endif
