/* tokenizer_ranks.c — byte-level vocabularies that list tokens as bytes, the rank being the id: Mistral's tekken.json,
 * and tiktoken's lines ("IQ== 0"), as in Llama 3's tokenizer.model. Merges follow from the ranks. */
#include "base/base64.h"
#include "text/vocab_merges.h"

#include <stdio.h>
#include <string.h>

#define LLAMA3                                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "                                         \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"                                                                     \
    "\\s+(?!\\S)|\\s+"

/* ---- both -------------------------------------------------------------------------------- */

struct ranks {
    struct lorac_tokenizer *tokenizer;
    struct byte_alphabet alphabet;
    struct text bytes, spelled; /* of one token */
};

static void ranks_init(struct ranks *r, struct lorac_tokenizer *t)
{
    *r = (struct ranks){.tokenizer = t, .bytes = {.memory = t->memory}, .spelled = {.memory = t->memory}};
    byte_alphabet_init(&r->alphabet);
}

static void ranks_free(struct ranks *r)
{
    text_free(&r->bytes);
    text_free(&r->spelled);
}

static lorac_status add_token(struct ranks *r, int64_t id, const char *coded, size_t length, lorac_error *err)
{
    struct lorac_tokenizer *t = r->tokenizer;
    r->bytes.length = r->spelled.length = 0;
    if (!base64_read(coded, length, &r->bytes) || !r->bytes.length)
        return fail(err, LORAC_FORMAT, t->path, "token %lld is not base64", (long long)id);
    byte_level_spell(&r->alphabet, &r->spelled, (const uint8_t *)r->bytes.data, r->bytes.length);
    if (r->bytes.failed || r->spelled.failed) return fail_memory(err, "the vocabulary", length);
    return vocab_put(&t->vocab, id, r->spelled.data, r->spelled.length, true, t->path, err);
}

/* After the tokens. As in transformers, a word that is a token is that token. */
static lorac_status finish(struct lorac_tokenizer *t, const char *pattern, lorac_error *err)
{
    TRY(vocab_merges(t, MERGE_BY_RANKS, NULL, err));
    t->bpe.ignore_merges = true;
    TRY(pretokenizer_add(&t->pretokenizer, pattern, strlen(pattern), false, (struct split_step){0}, t->path, err));
    return decoder_add(&t->decoder, decoder_kind_named("ByteLevel"), err) ? LORAC_OK : LORAC_OUT_OF_MEMORY;
}

/* ---- tekken.json -------------------------------------------------------------------------- */

/* The special tokens of files that list none. */
static const char *const first_specials[] = {"<unk>",
                                             "<s>",
                                             "</s>",
                                             "[INST]",
                                             "[/INST]",
                                             "[AVAILABLE_TOOLS]",
                                             "[/AVAILABLE_TOOLS]",
                                             "[TOOL_RESULTS]",
                                             "[/TOOL_RESULTS]",
                                             "[TOOL_CALLS]",
                                             "[IMG]",
                                             "<pad>",
                                             "[IMG_BREAK]",
                                             "[IMG_END]",
                                             "[PREFIX]",
                                             "[MIDDLE]",
                                             "[SUFFIX]",
                                             "[SYSTEM_PROMPT]",
                                             "[/SYSTEM_PROMPT]",
                                             "[TOOL_CONTENT]"};
enum { FIRST_SPECIALS = sizeof first_specials / sizeof *first_specials, MAX_SPECIALS = 1 << 16 };

static lorac_status add_special(struct lorac_tokenizer *t, size_t id, const char *text, lorac_error *err)
{
    return tokenizer_add_token(t, (int64_t)id, text, strlen(text), (struct added_token){.special = true}, err);
}

/* [{"rank", "token_str"}]: ranks are 0, 1, 2, ... in any order. */
static lorac_status add_listed(struct lorac_tokenizer *t, const json_t *list, lorac_error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *text;
        size_t rank;
        TRY(json_get_size(item, "rank", SIZE_MAX, &rank, t->path, err));
        TRY(json_get_text(item, "token_str", "", &text, t->path, err));
        if (rank >= json_array_size(list) || !*text)
            return fail(err, LORAC_FORMAT, t->path, "a special token has no text, or a rank beyond the others");
        TRY(add_special(t, rank, text, err));
    }
    return LORAC_OK;
}

/* Those listed, and "<SPECIAL_n>" up to the number that the file gives. */
static lorac_status add_specials(struct lorac_tokenizer *t, const json_t *root, size_t *count, lorac_error *err)
{
    const json_t *list = json_object_get(root, "special_tokens");
    size_t listed = json_is_array(list) ? json_array_size(list) : FIRST_SPECIALS;
    TRY(json_get_size(json_object_get(root, "config"), "default_num_special_tokens", listed, count, t->path, err));
    if (*count < listed || *count > MAX_SPECIALS)
        return fail(err, LORAC_FORMAT, t->path, "\"default_num_special_tokens\" is %zu", *count);
    TRY(add_listed(t, list, err));
    for (size_t i = 0; i < FIRST_SPECIALS && !json_is_array(list); i++) TRY(add_special(t, i, first_specials[i], err));
    for (size_t i = listed; i < *count; i++) {
        char name[40];
        snprintf(name, sizeof name, "<SPECIAL_%zu>", i);
        TRY(add_special(t, i, name, err));
    }
    return LORAC_OK;
}

static lorac_status add_ranked(struct lorac_tokenizer *t, const json_t *root, size_t specials, lorac_error *err)
{
    const json_t *vocab = json_object_get(root, "vocab");
    size_t count = json_array_size(vocab), all;
    TRY(json_get_size(json_object_get(root, "config"), "default_vocab_size", specials + count, &all, t->path, err));
    if (all < specials || !count) return fail(err, LORAC_FORMAT, t->path, "the vocabulary is empty");
    if (all - specials < count) count = all - specials; /* the rest is padding */
    struct ranks r;
    ranks_init(&r, t);
    lorac_status status = vocab_reserve(&t->vocab, specials + count, err);
    for (size_t i = 0; i < count && status == LORAC_OK; i++) {
        const json_t *bytes = json_object_get(json_array_get(vocab, i), "token_bytes");
        const char *coded = json_is_string(bytes) ? json_string_value(bytes) : "";
        status = add_token(&r, (int64_t)(specials + i), coded, strlen(coded), err);
    }
    ranks_free(&r);
    return status;
}

static lorac_status read_tekken(struct lorac_tokenizer *t, const json_t *root, lorac_error *err)
{
    const char *pattern;
    size_t specials;
    TRY(json_get_text(json_object_get(root, "config"), "pattern", "", &pattern, t->path, err));
    if (!*pattern) return fail(err, LORAC_FORMAT, t->path, "\"config\" has no \"pattern\"");
    TRY(add_specials(t, root, &specials, err));
    TRY(add_ranked(t, root, specials, err));
    TRY(finish(t, pattern, err));
    t->special.bos = tokenizer_find(t, "<s>", 3);
    t->special.eos = tokenizer_find(t, "</s>", 4);
    t->special.unknown = tokenizer_find(t, "<unk>", 5);
    t->special.pad = tokenizer_find(t, "<pad>", 5);
    return LORAC_OK;
}

lorac_status tokenizer_read_tekken(struct lorac_tokenizer *t, const uint8_t *bytes, size_t size, const json_t *config,
                                   lorac_error *err)
{
    json_t *root;
    TRY(json_read(t->memory, (const char *)bytes, size, t->path, &root, err));
    lorac_status status = read_tekken(t, root, err);
    json_decref(root);
    return status;
}

/* ---- tiktoken ---------------------------------------------------------------------------- */

bool tokenizer_is_tiktoken(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && at < 256 && bytes[at] > ' ' && bytes[at] < 127) at++;
    return at && at + 1 < size && bytes[at] == ' ' && bytes[at + 1] >= '0' && bytes[at + 1] <= '9';
}

static lorac_status add_line(struct ranks *r, const char *line, size_t length, lorac_error *err)
{
    const char *space = memchr(line, ' ', length);
    const char *end = line + length, *digits = space ? space + 1 : end;
    int64_t rank = digits < end ? 0 : -1;
    for (const char *p = digits; rank >= 0 && p < end; p++)
        rank = *p >= '0' && *p <= '9' && rank < INT32_MAX ? rank * 10 + (*p - '0') : -1;
    if (rank < 0) return fail(err, LORAC_FORMAT, r->tokenizer->path, "a line is not a token and its rank");
    return add_token(r, rank, line, (size_t)(space - line), err);
}

static lorac_status add_lines(struct lorac_tokenizer *t, const char *text, size_t size, lorac_error *err)
{
    struct ranks r;
    ranks_init(&r, t);
    lorac_status status = LORAC_OK;
    for (size_t at = 0, end; at < size && status == LORAC_OK; at = end + 1) {
        const char *newline = memchr(text + at, '\n', size - at);
        end = newline ? (size_t)(newline - text) : size;
        size_t length = end - at;
        if (length && text[end - 1] == '\r') length--;
        if (length) status = add_line(&r, text + at, length, err);
    }
    ranks_free(&r);
    return status;
}

lorac_status tokenizer_read_tiktoken(struct lorac_tokenizer *t, const uint8_t *bytes, size_t size, lorac_error *err)
{
    t->format = "tiktoken";
    TRY(add_lines(t, (const char *)bytes, size, err));
    return finish(t, LLAMA3, err);
}
