/* tokenizer_gguf.c — a tokenizer from a GGUF file's metadata: byte-level BPE ("gpt2"), the splitting named by .pre.
 * Everything is copied: the file may be closed afterwards. Refuses other models and unknown splittings by name. */
#include "text/tokenizer.h"

#include "file/gguf.h"
#include <string.h>

/* How a family cuts text into words. `smollm` is cut as transformers cuts it when it reads a GGUF: digits are
 * not taken apart beforehand (the vocabulary has no merges of them). */
static const struct {
    const char *names; /* separated by blanks */
    const char *pattern;
    bool ignore_merges, adds_bos; /* adds_bos: where the file does not say */
} families[] = {
    {"smollm gpt-2 phi-2 default jina-es jina-de gigachat jais mpt olmo", pattern_gpt2, false, false},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", pattern_llama3, true, true},
    {"qwen2 deepseek-r1-qwen megrez", pattern_qwen2, false, false},
};

enum { TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4 };

/* ---- metadata ---------------------------------------------------------------------------- */

static const struct gguf_value *find_array(const struct gguf *g, const char *key, bool of_strings)
{
    const struct gguf_value *v = gguf_find(g, key);
    return v && v->type == GGUF_ARRAY && (v->as.array.type == GGUF_STRING) == of_strings ? v : NULL;
}

static lorac_status read_id(const struct gguf *g, const char *key, size_t count, int32_t *id, lorac_error *err)
{
    size_t value;
    TRY(gguf_get_size(g, key, SIZE_MAX, &value, err));
    if (value == SIZE_MAX) return LORAC_OK;
    if (value >= count)
        return fail(err, LORAC_FORMAT, g->path, "%s is %zu, but there are %zu tokens", key, value, count);
    *id = (int32_t)value;
    return LORAC_OK;
}

static bool is_listed(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; length && (at = strstr(at, name)); at++)
        if ((at == names || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
    return false;
}

static lorac_status find_family(const struct gguf *g, size_t *family, lorac_error *err)
{
    char *model, *pre;
    TRY(gguf_get_text(g, "tokenizer.ggml.model", &model, err));
    bool known = model && !strcmp(model, "gpt2");
    lorac_status status =
        known   ? gguf_get_text(g, "tokenizer.ggml.pre", &pre, err)
        : model ? fail(err, LORAC_UNSUPPORTED, g->path, "tokenizer model \"%.60s\" (tokenizer.ggml.model)", model)
                : fail(err, LORAC_NOT_FOUND, g->path, "the file has no tokenizer (tokenizer.ggml.model)");
    mem_free(g->memory, model);
    if (status != LORAC_OK) return status;

    const char *name = pre ? pre : "default";
    size_t count = sizeof families / sizeof *families;
    for (*family = 0; *family < count && !is_listed(families[*family].names, name); ++*family) {}
    if (*family == count)
        status = fail(err, LORAC_UNSUPPORTED, g->path, "pre-tokenizer \"%.60s\" (tokenizer.ggml.pre)", name);
    mem_free(g->memory, pre);
    return status;
}

/* ---- vocabulary and merges --------------------------------------------------------------- */

static lorac_status read_tokens(struct lorac_tokenizer *t, const struct gguf *g, lorac_error *err)
{
    const struct gguf_value *tokens = find_array(g, "tokenizer.ggml.tokens", true);
    if (!tokens) return fail(err, LORAC_FORMAT, g->path, "tokenizer.ggml.tokens is missing or not a list of strings");
    TRY(vocab_reserve(&t->vocab, tokens->as.array.count, err));
    struct gguf_string s;
    int64_t id = 0;
    for (size_t at = 0; gguf_next_string(tokens, &at, &s); id++)
        TRY(vocab_put(&t->vocab, id, s.data, s.length, true, g->path, err));
    return LORAC_OK;
}

static lorac_status read_types(struct lorac_tokenizer *t, const struct gguf *g, lorac_error *err)
{
    const struct gguf_value *types = find_array(g, "tokenizer.ggml.token_type", false);
    if (!types) return LORAC_OK;
    if (types->as.array.count != t->vocab.count)
        return fail(err, LORAC_FORMAT, g->path, "tokenizer.ggml.token_type has %zu entries for %zu tokens",
                    types->as.array.count, t->vocab.count);
    for (size_t id = 0; id < t->vocab.count; id++) {
        double type = gguf_number(types, id);
        if (type != TYPE_CONTROL && type != TYPE_USER_DEFINED) continue;
        const struct token *token = &t->vocab.tokens[id];
        TRY(tokenizer_add_token(t, (int64_t)id, vocab_bytes(&t->vocab, token), token->length,
                                (struct added_token){.special = type == TYPE_CONTROL}, err));
    }
    return LORAC_OK;
}

static lorac_status read_merges(struct lorac_tokenizer *t, const struct gguf *g, lorac_error *err)
{
    const struct gguf_value *merges = find_array(g, "tokenizer.ggml.merges", true);
    if (!merges) return fail(err, LORAC_FORMAT, g->path, "tokenizer.ggml.merges is missing or not a list of strings");
    TRY(bpe_init(&t->bpe, t->memory, &t->vocab, merges->as.array.count, err));
    struct gguf_string s;
    uint32_t rank = 0;
    for (size_t at = 0; gguf_next_string(merges, &at, &s); rank++) {
        const char *space = memchr(s.data, ' ', s.length);
        size_t left = space ? (size_t)(space - s.data) : 0;
        if (!space) return fail(err, LORAC_FORMAT, g->path, "merge %u has no space between its parts", rank);
        TRY(bpe_add_merge(&t->bpe, &t->vocab, rank, s.data, left, space + 1, s.length - left - 1, g->path, err));
    }
    return LORAC_OK;
}

/* ---- roles ------------------------------------------------------------------------------- */

static lorac_status read_special(struct lorac_tokenizer *t, const struct gguf *g, bool adds_bos, lorac_error *err)
{
    size_t count = t->vocab.count;
    int32_t end_of_turn = -1, end_of_message = -1;
    TRY(read_id(g, "tokenizer.ggml.bos_token_id", count, &t->special.bos, err));
    TRY(read_id(g, "tokenizer.ggml.eos_token_id", count, &t->special.eos, err));
    TRY(read_id(g, "tokenizer.ggml.unknown_token_id", count, &t->special.unknown, err));
    TRY(read_id(g, "tokenizer.ggml.padding_token_id", count, &t->special.pad, err));
    TRY(read_id(g, "tokenizer.ggml.eot_token_id", count, &end_of_turn, err));
    TRY(read_id(g, "tokenizer.ggml.eom_token_id", count, &end_of_message, err));
    tokenizer_add_stop(t, t->special.eos);
    tokenizer_add_stop(t, end_of_turn);
    tokenizer_add_stop(t, end_of_message);

    bool adds_eos;
    TRY(gguf_get_bool(g, "tokenizer.ggml.add_bos_token", adds_bos, &adds_bos, err));
    TRY(gguf_get_bool(g, "tokenizer.ggml.add_eos_token", false, &adds_eos, err));
    if (adds_bos && t->special.bos >= 0) TRY(tokenizer_add_fixed(&t->prefix, t->special.bos, err));
    if (adds_eos && t->special.eos >= 0) TRY(tokenizer_add_fixed(&t->suffix, t->special.eos, err));
    return gguf_get_text(g, "tokenizer.chat_template", &t->chat_template, err);
}

lorac_status tokenizer_read_gguf(struct lorac_tokenizer *t, const struct gguf *g, lorac_error *err)
{
    size_t family;
    TRY(find_family(g, &family, err));
    TRY(read_tokens(t, g, err));
    TRY(read_types(t, g, err));
    TRY(read_merges(t, g, err));
    t->bpe.ignore_merges = families[family].ignore_merges;
    TRY(pretokenizer_add(&t->pretokenizer, families[family].pattern, strlen(families[family].pattern), false,
                         (struct split_step){0}, g->path, err));
    if (!decoder_add(&t->decoder, decoder_kind_named("ByteLevel"), err)) return LORAC_OUT_OF_MEMORY;
    return read_special(t, g, families[family].adds_bos, err);
}
