/* fuzz_pieces.c — any bytes as text under a fixed SentencePiece tokenizer with byte fallback and no dummy prefix, as
 * BPE and as unigram: what comes back is the text, malformed bytes mended. */
#include "text/sentencepiece.h"
#include "text/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pieces[] = {"a",
                                     "b",
                                     "c",
                                     " ",
                                     "th",
                                     "t",
                                     "h",
                                     "the",
                                     "aa",
                                     "aaaa",
                                     "ab",
                                     "\xE2\x96\x81",
                                     "\xE2\x96\x81t",
                                     "\xE2\x96\x81the",
                                     "\xC3\xA9",
                                     "\xE6\x9D\xB1",
                                     "\xE6\x9D\xB1\xE4\xBA\xAC",
                                     "e",
                                     "he"};

static void require(bool holds)
{
    if (!holds) abort();
}

static void fill(struct lorac_tokenizer *t, bool unigram)
{
    struct sentencepiece s;
    sentencepiece_init(&s, t);
    s.unigram = unigram;
    s.byte_fallback = true;
    s.dummy_prefix = s.remove_extra_spaces = false;
    s.unknown = 0;
    sentencepiece_of_class(&s, NULL);
    require(!sentencepiece_add(&s, "<unk>", 5, 0, PIECE_UNKNOWN, NULL));
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        require(!sentencepiece_add(&s, name, 6, 0, PIECE_BYTE, NULL));
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        require(!sentencepiece_add(&s, pieces[i], strlen(pieces[i]), -(double)i / 3, PIECE_NORMAL, NULL));
    require(!sentencepiece_finish(&s, NULL));
    require(!tokenizer_finish(t, NULL));
    sentencepiece_free(&s);
}

/* What the model cannot tell apart: the mark and a space. And a byte token or <unk> that the text spells out is one. */
static bool is_plain(const struct text *text)
{
    return !text->length ||
           (!memmem(text->data, text->length, "\xE2\x96\x81", 3) && !memchr(text->data, '<', text->length));
}

static void check(const char *text, size_t size, const struct text *mended, bool unigram)
{
    struct memory memory = {0};
    struct lorac_tokenizer *t = tokenizer_new(&memory, "fuzz");
    int32_t *ids;
    char *back;
    size_t count, length;
    require(t);
    fill(t, unigram);
    require(!lorac_tokenizer_encode(t, text, size, 0, &ids, &count, NULL));
    require(!lorac_tokenizer_decode(t, ids, count, 0, &back, &length, NULL));
    if (is_plain(mended)) require(length == mended->length && (!length || !memcmp(back, mended->data, length)));
    lorac_free(back);
    lorac_free(ids);
    lorac_tokenizer_close(t);
    require(memory.used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {0};
    struct text mended = {.memory = &memory};
    utf8_mend(&mended, (const char *)data, size);
    check((const char *)data, size, &mended, false);
    check((const char *)data, size, &mended, true);
    text_free(&mended);
    return 0;
}
