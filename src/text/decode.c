/* decode.c — ids to text, at once or streamed. A character is never cut: bytes that may become one are held back.
 * An added token gives its content as it is. (The reference sends it through the byte alphabet, which damages
 * content such as U+00C5; the two agree on ASCII and on everything from U+0144.) */
#include "text/tokenizer.h"

#include "text/utf8.h"

struct lorac_detokenizer {
    const struct lorac_tokenizer *tokenizer;
    bool skip_special;
    struct text bytes; /* not yet given out: an unfinished character, then the new token's bytes */
    struct text out;
};

static lorac_status add_bytes(const struct lorac_tokenizer *t, bool skip_special, int32_t id, struct text *bytes,
                              lorac_error *err)
{
    if (id < 0 || (size_t)id >= t->vocab.count)
        return fail(err, LORAC_INVALID_ARGUMENT, t->path, "token id %d is not in the vocabulary of %zu tokens", id,
                    t->vocab.count);
    const struct token *token = &t->vocab.tokens[id];
    const char *spelled = vocab_bytes(&t->vocab, token);
    if (skip_special && token->flags & TOKEN_SPECIAL) return LORAC_OK;
    if (token->flags & TOKEN_ADDED)
        text_add(bytes, spelled, token->length);
    else
        byte_level_read(&t->bpe.alphabet, bytes, spelled, token->length);
    return LORAC_OK;
}

lorac_status lorac_tokenizer_decode(const lorac_tokenizer *t, const int32_t *ids, size_t count, int skip_special,
                                    char **text, size_t *length, lorac_error *err)
{
    struct text bytes = {.memory = t->memory}, out = {.memory = t->memory};
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < count && status == LORAC_OK; i++) status = add_bytes(t, skip_special, ids[i], &bytes, err);
    if (status == LORAC_OK) utf8_mend(&out, bytes.data, bytes.length);
    out.failed |= bytes.failed;
    text_free(&bytes);
    if (status != LORAC_OK) return text_free(&out), status;

    *length = out.length;
    *text = text_release(&out);
    return *text ? LORAC_OK : fail_memory(err, "text", *length);
}

/* ---- streaming --------------------------------------------------------------------------- */

lorac_status lorac_detokenizer_create(const lorac_tokenizer *tokenizer, int skip_special, lorac_detokenizer **stream,
                                      lorac_error *err)
{
    struct memory *m = tokenizer->memory;
    struct lorac_detokenizer *d = mem_alloc(m, sizeof *d);
    if (!d) return fail_memory(err, "a detokenizer", sizeof *d);
    *d = (struct lorac_detokenizer){tokenizer, skip_special, .bytes = {.memory = m}, .out = {.memory = m}};
    *stream = d;
    return LORAC_OK;
}

void lorac_detokenizer_free(lorac_detokenizer *d)
{
    if (!d) return;
    struct memory *m = d->tokenizer->memory;
    text_free(&d->bytes);
    text_free(&d->out);
    mem_free(m, d);
}

static lorac_status give(struct lorac_detokenizer *d, const char **text, size_t *length, lorac_error *err)
{
    if (d->out.failed || d->bytes.failed) return fail_memory(err, "text", d->bytes.length);
    *text = d->out.data ? d->out.data : "";
    *length = d->out.length;
    return LORAC_OK;
}

lorac_status lorac_detokenizer_push(lorac_detokenizer *d, int32_t id, const char **text, size_t *length,
                                    lorac_error *err)
{
    TRY(add_bytes(d->tokenizer, d->skip_special, id, &d->bytes, err));
    d->out.length = 0;
    size_t open = utf8_mend_open(&d->out, d->bytes.data, d->bytes.length);
    for (size_t i = 0; i < open; i++) d->bytes.data[i] = d->bytes.data[d->bytes.length - open + i];
    d->bytes.length = open;
    return give(d, text, length, err);
}

lorac_status lorac_detokenizer_flush(lorac_detokenizer *d, const char **text, size_t *length, lorac_error *err)
{
    d->out.length = 0;
    utf8_mend(&d->out, d->bytes.data, d->bytes.length);
    d->bytes.length = 0;
    return give(d, text, length, err);
}
