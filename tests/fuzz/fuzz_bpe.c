/* fuzz_bpe.c — any bytes as text under a fixed tokenizer: the ids decode to the text, malformed bytes mended;
 * streamed, the same. */
#include "text/tokenizer.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {"th", "e ", "in", " t", " the", "  ", "\xC3\xA9", "\xE6\x9D", "aa", "aaaa"};

static void require(bool holds)
{
    if (!holds) abort();
}

static void add_spelled(struct lorac_tokenizer *t, int64_t id, const char *bytes, size_t length)
{
    struct byte_alphabet alphabet;
    struct text spelled = {.memory = t->memory};
    byte_alphabet_init(&alphabet);
    byte_level_spell(&alphabet, &spelled, (const uint8_t *)bytes, length);
    if (vocab_find(&t->vocab, spelled.data, spelled.length) < 0)
        require(!vocab_put(&t->vocab, id, spelled.data, spelled.length, true, NULL, NULL));
    text_free(&spelled);
}

/* All bytes, a few words, and every merge that gives one of those words from two shorter tokens. */
static void fill(struct lorac_tokenizer *t)
{
    for (int byte = 0; byte < 256; byte++) add_spelled(t, byte, (const char[]){(char)byte}, 1);
    size_t count = sizeof words / sizeof *words;
    for (size_t i = 0; i < count; i++) add_spelled(t, 256 + (int64_t)i, words[i], strlen(words[i]));
    require(!bpe_init(&t->bpe, t->memory, &t->vocab, 64, NULL));
    for (size_t i = 256; i < t->vocab.count; i++) {
        const struct token *token = &t->vocab.tokens[i];
        const char *spelled = vocab_bytes(&t->vocab, token);
        for (size_t cut = 1; cut < token->length; cut++)
            bpe_add_merge(&t->bpe, &t->vocab, (uint32_t)i, spelled, cut, spelled + cut, token->length - cut, NULL,
                          NULL);
    }
    require(!pretokenizer_add(&t->pretokenizer, pattern_llama3, strlen(pattern_llama3), false, (struct split_step){0},
                              NULL, NULL));
    require(decoder_add(&t->decoder, decoder_kind_named("ByteLevel"), NULL));
    require(!tokenizer_add_token(t, 300, "<|x|>", 5, (struct added_token){.special = true}, NULL));
    require(!tokenizer_finish(t, NULL));
}

static void check_stream(const struct lorac_tokenizer *t, const int32_t *ids, size_t count, const struct text *expected)
{
    lorac_detokenizer *stream;
    struct text all = {.memory = t->memory};
    const char *piece;
    size_t length;
    require(!lorac_detokenizer_create(t, 0, &stream, NULL));
    for (size_t i = 0; i < count; i++) {
        require(!lorac_detokenizer_push(stream, ids[i], &piece, &length, NULL));
        require(utf8_is_valid(piece, length));
        text_add(&all, piece, length);
    }
    require(!lorac_detokenizer_flush(stream, &piece, &length, NULL));
    text_add(&all, piece, length);
    require(all.length == expected->length && (!all.length || !memcmp(all.data, expected->data, all.length)));
    text_free(&all);
    lorac_detokenizer_free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {0};
    struct lorac_tokenizer *t = tokenizer_new(&memory, "fuzz");
    struct text mended = {.memory = &memory};
    int32_t *ids;
    char *back;
    size_t count, length;
    require(t);
    fill(t);
    utf8_mend(&mended, (const char *)data, size);
    require(!lorac_tokenizer_encode(t, (const char *)data, size, 0, &ids, &count, NULL));
    require(!lorac_tokenizer_decode(t, ids, count, 0, &back, &length, NULL));
    require(length == mended.length && (!length || !memcmp(back, mended.data, length)));
    check_stream(t, ids, count, &mended);
    lorac_free(back);
    lorac_free(ids);
    text_free(&mended);
    lorac_tokenizer_close(t);
    require(memory.used == 0);
    return 0;
}
