/* encode.c — text to ids. Malformed bytes count as U+FFFD, one for each maximal subpart (Unicode 15, 3.9). */
#include "text/tokenizer.h"

#include "text/utf8.h"

struct encoder {
    const struct lorac_tokenizer *tokenizer;
    struct regex_match *match;
    struct model_scratch scratch;
    struct text normalized, ids; /* ids: int32_t */
    bool first;                  /* nothing of the text came before */
};

static lorac_status encode_word(void *context, const char *word, size_t length, lorac_error *err)
{
    struct encoder *e = context;
    return e->tokenizer->model->encode(e->tokenizer, &e->scratch, word, length, &e->ids, err);
}

static lorac_status encode_normalized(void *context, const struct added_token *token, const char *text, size_t length,
                                      lorac_error *err)
{
    struct encoder *e = context;
    bool first = e->first;
    e->first = false;
    if (!token) return pretokenize(&e->tokenizer->pretokenizer, e->match, first, text, length, encode_word, e, err);
    text_add(&e->ids, &token->id, sizeof token->id);
    return LORAC_OK;
}

static lorac_status encode_raw(void *context, const struct added_token *token, const char *text, size_t length,
                               lorac_error *err)
{
    struct encoder *e = context;
    if (token) return encode_normalized(e, token, NULL, 0, err);
    TRY(normalize(&e->tokenizer->normalizer, e->match, &e->normalized, &text, &length, err));
    TRY(added_split(&e->tokenizer->normalized, text, length, encode_normalized, e, err));
    e->first = false;
    return LORAC_OK;
}

static void add_fixed(struct encoder *e, const struct list *fixed)
{
    text_add(&e->ids, fixed->items, fixed->count * sizeof(int32_t));
}

static lorac_status encode(struct encoder *e, const char *text, size_t length, bool add_special, lorac_error *err)
{
    const struct lorac_tokenizer *t = e->tokenizer;
    if (add_special) add_fixed(e, &t->prefix);
    TRY(added_split(&t->raw, text, length, encode_raw, e, err));
    if (add_special) add_fixed(e, &t->suffix);
    return e->ids.failed || e->normalized.failed ? fail_memory(err, "token ids", length) : LORAC_OK;
}

static lorac_status encode_with(struct encoder *e, const char *text, size_t length, bool add_special, lorac_error *err)
{
    struct text mended = {.memory = e->tokenizer->memory};
    if (!utf8_is_valid(text, length)) {
        utf8_mend(&mended, text, length);
        if (mended.failed) return text_free(&mended), fail_memory(err, "text", length);
        text = mended.data;
        length = mended.length;
    }
    lorac_status status = encode(e, text, length, add_special, err);
    text_free(&mended);
    return status;
}

lorac_status lorac_tokenizer_encode(const lorac_tokenizer *t, const char *text, size_t length, int add_special,
                                    int32_t **ids, size_t *count, lorac_error *err)
{
    struct memory *m = t->memory;
    struct encoder e = {.tokenizer = t, .normalized = {.memory = m}, .ids = {.memory = m}, .first = true};
    model_scratch_init(&e.scratch, m);
    TRY(regex_match_create(&e.match, err));
    lorac_status status = encode_with(&e, text, length, add_special, err);
    regex_match_free(e.match);
    model_scratch_free(&e.scratch);
    text_free(&e.normalized);
    if (status != LORAC_OK) return text_free(&e.ids), status;

    *count = e.ids.length / sizeof **ids;
    *ids = (int32_t *)(void *)text_release(&e.ids);
    return *ids ? LORAC_OK : fail_memory(err, "token ids", *count * sizeof **ids);
}
