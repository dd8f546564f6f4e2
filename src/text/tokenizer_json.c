/* tokenizer_json.c — the large parts of a tokenizer.json, streamed: vocabulary and merges go into flat arrays,
 * all the rest is printed again and left to tokenizer_parts.c as a small JSON value. */
#include "text/tokenizer.h"
#include "text/json_score.h"

#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

struct merge_span {
    size_t offset; /* into stream.merge_bytes */
    uint32_t left, right;
};

enum section { ELSEWHERE, IN_VOCAB, IN_PIECES, IN_MERGES }; /* IN_PIECES: a Unigram's list of [token, score] */

struct stream {
    struct lorac_tokenizer *tokenizer;
    yajl_gen rest;
    enum section section, coming; /* coming: what the value of the last key opens */
    size_t depth;                 /* of open maps and lists */
    bool in_model;
    struct text key; /* the token whose id comes next */
    struct text merge_bytes;
    struct list merges; /* struct merge_span */
    int parts;          /* of a merge or a piece written as a list: values seen; -1: not in one */
    lorac_status status;
    lorac_error *err;
};

static int stop(struct stream *s, lorac_status status)
{
    s->status = status;
    return 0;
}

static int refuse(struct stream *s, const char *what)
{
    return stop(s, fail(s->err, LORAC_FORMAT, s->tokenizer->path, "%s", what));
}

static int passed(struct stream *s, yajl_gen_status status)
{
    return status == yajl_gen_status_ok ? 1 : refuse(s, "the JSON is nested too deep");
}

/* ---- merges ------------------------------------------------------------------------------ */

static int out_of_memory(struct stream *s, size_t bytes)
{
    return stop(s, fail_memory(s->err, "the merges", bytes));
}

static struct merge_span *new_merge(struct stream *s)
{
    struct merge_span *m = list_add(&s->merges);
    if (m) m->offset = s->merge_bytes.length;
    return m;
}

static int add_merge_text(struct stream *s, const char *text, size_t length)
{
    const char *space = memchr(text, ' ', length);
    struct merge_span *m = space ? new_merge(s) : NULL;
    if (!space || length > UINT32_MAX) return refuse(s, "a merge is not two tokens with a space between");
    if (!m) return out_of_memory(s, length);
    m->left = (uint32_t)(space - text);
    m->right = (uint32_t)length - m->left - 1;
    text_add(&s->merge_bytes, text, m->left);
    text_add(&s->merge_bytes, space + 1, m->right);
    return s->merge_bytes.failed ? out_of_memory(s, length) : 1;
}

static int add_merge_part(struct stream *s, const char *text, size_t length)
{
    if (s->parts > 1 || length > UINT32_MAX) return refuse(s, "a merge is not a list of two tokens");
    struct merge_span *m = s->parts ? (struct merge_span *)s->merges.items + s->merges.count - 1 : new_merge(s);
    if (!m) return out_of_memory(s, length);
    *(s->parts ? &m->right : &m->left) = (uint32_t)length;
    s->parts++;
    text_add(&s->merge_bytes, text, length);
    return s->merge_bytes.failed ? out_of_memory(s, length) : 1;
}

/* ---- pieces ------------------------------------------------------------------------------ */

static int add_piece(struct stream *s, const char *text, size_t length)
{
    struct lorac_tokenizer *t = s->tokenizer;
    if (s->parts != 0) return refuse(s, "a piece is not a list of a token and its score");
    s->parts++;
    lorac_status status = vocab_put(&t->vocab, (int64_t)t->vocab.count, text, length, true, t->path, s->err);
    return status == LORAC_OK ? 1 : stop(s, status);
}

static int add_score(struct stream *s, const char *digits, size_t length)
{
    double value;
    if (s->parts != 1) return refuse(s, "a piece is not a list of a token and its score");
    if (!json_score_read(digits, length, &value)) return refuse(s, "a token's score is no number");
    double *score = list_add(&s->tokenizer->scores);
    if (!score) return out_of_memory(s, length);
    *score = value;
    s->parts++;
    return 1;
}

/* ---- events ------------------------------------------------------------------------------ */

static int on_null(void *context)
{
    struct stream *s = context;
    return s->section ? refuse(s, "null among the tokens") : passed(s, yajl_gen_null(s->rest));
}

static int on_boolean(void *context, int value)
{
    struct stream *s = context;
    return s->section ? refuse(s, "a boolean among the tokens") : passed(s, yajl_gen_bool(s->rest, value));
}

static int on_number(void *context, const char *digits, size_t length)
{
    struct stream *s = context;
    if (!s->section) return passed(s, yajl_gen_number(s->rest, digits, length));
    if (s->section == IN_PIECES) return add_score(s, digits, length);
    int64_t id = 0;
    for (size_t i = 0; i < length && id < INT32_MAX && id >= 0; i++)
        id = digits[i] >= '0' && digits[i] <= '9' ? id * 10 + (digits[i] - '0') : -1;
    if (s->section != IN_VOCAB || id < 0) return refuse(s, "a number among the tokens that is no id");
    lorac_status status =
        vocab_put(&s->tokenizer->vocab, id, s->key.data, s->key.length, true, s->tokenizer->path, s->err);
    return status == LORAC_OK ? 1 : stop(s, status);
}

static int on_string(void *context, const unsigned char *text, size_t length)
{
    struct stream *s = context;
    if (!s->section) return passed(s, yajl_gen_string(s->rest, text, length));
    if (s->section == IN_PIECES) return add_piece(s, (const char *)text, length);
    if (s->section != IN_MERGES) return refuse(s, "a token's id is a string");
    return (s->parts < 0 ? add_merge_text : add_merge_part)(s, (const char *)text, length);
}

static bool is_key(const unsigned char *text, size_t length, const char *key)
{
    return length == strlen(key) && !memcmp(text, key, length);
}

static int on_key(void *context, const unsigned char *text, size_t length)
{
    struct stream *s = context;
    if (s->section == IN_VOCAB) {
        s->key.length = 0;
        text_add(&s->key, text, length);
        return s->key.failed ? stop(s, fail_memory(s->err, "the vocabulary", length)) : 1;
    }
    if (s->depth == 1) s->in_model = is_key(text, length, "model");
    s->coming = s->depth != 2 || !s->in_model    ? ELSEWHERE
                : is_key(text, length, "vocab")  ? IN_VOCAB
                : is_key(text, length, "merges") ? IN_MERGES
                                                 : ELSEWHERE;
    return passed(s, yajl_gen_string(s->rest, text, length));
}

static int on_start_map(void *context)
{
    struct stream *s = context;
    if (s->section) return refuse(s, "a map among the tokens");
    if (s->depth++ == 2 && s->coming == IN_VOCAB) s->section = IN_VOCAB;
    s->coming = ELSEWHERE;
    return passed(s, yajl_gen_map_open(s->rest));
}

static int on_end_map(void *context)
{
    struct stream *s = context;
    s->depth--;
    s->section = ELSEWHERE;
    return passed(s, yajl_gen_map_close(s->rest));
}

static int on_start_list(void *context)
{
    struct stream *s = context;
    if (s->section >= IN_PIECES && s->parts < 0) {
        s->parts = 0;
        return 1;
    }
    if (s->section) return refuse(s, "a list among the tokens");
    if (s->depth++ == 2 && s->coming) s->section = s->coming == IN_VOCAB ? IN_PIECES : IN_MERGES;
    s->coming = ELSEWHERE;
    return passed(s, yajl_gen_array_open(s->rest));
}

static int on_end_list(void *context)
{
    struct stream *s = context;
    if (s->parts >= 0) {
        if (s->parts != 2)
            return refuse(s, s->section == IN_MERGES ? "a merge is not a list of two tokens"
                                                     : "a piece is not a list of a token and its score");
        s->parts = -1;
        return 1;
    }
    s->depth--;
    s->section = ELSEWHERE;
    return passed(s, yajl_gen_array_close(s->rest));
}

/* ---- the whole file ---------------------------------------------------------------------- */

enum { CHUNK = 1 << 20 };

/* What is read has been copied: the file need not stay in memory. *at: where the reading stopped. */
static yajl_status feed(yajl_handle handle, const struct os_file *file, size_t *at)
{
    for (*at = 0; *at < file->size;) {
        size_t part = file->size - *at < CHUNK ? file->size - *at : CHUNK;
        yajl_status result = yajl_parse(handle, file->data + *at, part);
        *at += yajl_get_bytes_consumed(handle);
        if (result != yajl_status_ok) return result;
        os_file_release(file, *at);
    }
    return yajl_complete_parse(handle);
}

static lorac_status parse(struct stream *s, const struct os_file *file)
{
    static const yajl_callbacks events = {on_null,      on_boolean, NULL,       NULL,          on_number,  on_string,
                                          on_start_map, on_key,     on_end_map, on_start_list, on_end_list};
    yajl_handle handle = yajl_alloc(&events, NULL, s);
    if (!handle) return fail_memory(s->err, "a JSON parser", 0);
    size_t at;
    yajl_status result = feed(handle, file, &at);
    if (result != yajl_status_ok && s->status == LORAC_OK)
        s->status = fail(s->err, LORAC_FORMAT, s->tokenizer->path, "the JSON is damaged at byte %zu", at);
    yajl_free(handle);
    return s->status;
}

static lorac_status add_merges(struct stream *s, const json_t *model)
{
    const char *prefix;
    struct lorac_tokenizer *t = s->tokenizer;
    const struct merge_span *m = s->merges.items;
    if (s->merges.count > UINT32_MAX) return fail(s->err, LORAC_FORMAT, t->path, "too many merges");
    TRY(bpe_init(&t->bpe, t->memory, &t->vocab, s->merges.count, s->err));
    TRY(json_get_text(model, "continuing_subword_prefix", "", &prefix, t->path, s->err));
    if (*prefix && !(t->bpe.prefix = mem_text(t->memory, prefix, strlen(prefix))))
        return fail_memory(s->err, "the merges", strlen(prefix));
    for (size_t i = 0; i < s->merges.count; i++) {
        const char *left = s->merge_bytes.data + m[i].offset;
        TRY(bpe_add_merge(&t->bpe, &t->vocab, (uint32_t)i, left, m[i].left, left + m[i].left, m[i].right, t->path,
                          s->err));
    }
    return LORAC_OK;
}

static lorac_status read_rest(struct stream *s)
{
    const unsigned char *text;
    size_t length;
    json_t *root;
    if (yajl_gen_get_buf(s->rest, &text, &length) != yajl_gen_status_ok) return fail_memory(s->err, "JSON", 0);
    TRY(json_read(s->tokenizer->memory, (const char *)text, length, s->tokenizer->path, &root, s->err));
    lorac_status status = add_merges(s, json_object_get(root, "model"));
    if (status == LORAC_OK) status = tokenizer_read_parts(s->tokenizer, root, s->err);
    json_decref(root);
    return status;
}

lorac_status tokenizer_read_json(struct lorac_tokenizer *t, const struct os_file *file, lorac_error *err)
{
    struct memory *m = t->memory;
    struct stream s = {.tokenizer = t,
                       .parts = -1,
                       .err = err,
                       .key = {.memory = m},
                       .merge_bytes = {.memory = m},
                       .merges = {.memory = m, .size = sizeof(struct merge_span)}};
    s.rest = yajl_gen_alloc(NULL);
    lorac_status status = s.rest ? parse(&s, file) : fail_memory(err, "JSON", 0);
    if (status == LORAC_OK) status = read_rest(&s);
    if (s.rest) yajl_gen_free(s.rest);
    text_free(&s.key);
    text_free(&s.merge_bytes);
    list_free(&s.merges);
    return status;
}
