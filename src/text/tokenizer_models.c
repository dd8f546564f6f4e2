/* tokenizer_models.c — the table's rows. See tokenizer_models.h. */
#include "text/tokenizer.h"

#include <string.h>

void model_scratch_init(struct model_scratch *s, struct memory *m)
{
    *s = (struct model_scratch){.bpe = {.memory = m, .spelled.memory = m}, .unigram = {.memory = m}};
}

void model_scratch_free(struct model_scratch *s)
{
    bpe_scratch_free(&s->bpe);
    unigram_scratch_free(&s->unigram);
}

static lorac_status encode_bpe(const struct lorac_tokenizer *t, struct model_scratch *s, const char *word,
                               size_t length, struct text *ids, lorac_error *err)
{
    return bpe_encode(&t->bpe, &t->vocab, &s->bpe, (const uint8_t *)word, length, ids, err);
}

static lorac_status encode_unigram(const struct lorac_tokenizer *t, struct model_scratch *s, const char *word,
                                   size_t length, struct text *ids, lorac_error *err)
{
    return unigram_encode(&t->unigram, &t->vocab, &s->unigram, word, length, ids, err);
}

static lorac_status encode_wordpiece(const struct lorac_tokenizer *t, struct model_scratch *s, const char *word,
                                     size_t length, struct text *ids, lorac_error *err)
{
    wordpiece_encode(&t->wordpiece, word, length, ids);
    return LORAC_OK;
}

/* A word is a token or unknown. */
static lorac_status encode_wordlevel(const struct lorac_tokenizer *t, struct model_scratch *s, const char *word,
                                     size_t length, struct text *ids, lorac_error *err)
{
    int32_t id = vocab_find(&t->vocab, word, length);
    if (id < 0) id = t->special.unknown;
    if (id < 0)
        return fail(err, LORAC_INVALID_ARGUMENT, t->path, "\"%.*s\" is not in the vocabulary, nor is an unknown token",
                    length < 60 ? (int)length : 60, word);
    text_add(ids, &id, sizeof id);
    return LORAC_OK;
}

static lorac_status encode_words(const struct lorac_tokenizer *t, struct model_scratch *s, const char *word,
                                 size_t length, struct text *ids, lorac_error *err)
{
    int32_t last = -1, unknown = t->special.unknown;
    if (ids->length) memcpy(&last, ids->data + ids->length - sizeof last, sizeof last);
    if (last >= 0 && last == unknown && vocab_find(&t->vocab, word, length) < 0) return LORAC_OK;
    return encode_wordlevel(t, s, word, length, ids, err);
}

const char *tokenizer_type(const struct lorac_tokenizer *t)
{
    return t->model == &model_bpe && !t->bpe.characters ? "byte-level BPE" : t->model->name;
}

const struct model_kind model_bpe = {"BPE", encode_bpe}, model_unigram = {"Unigram", encode_unigram},
                        model_wordpiece = {"WordPiece", encode_wordpiece},
                        model_wordlevel = {"WordLevel", encode_wordlevel},
                        model_words = {"SentencePiece words", encode_words};
