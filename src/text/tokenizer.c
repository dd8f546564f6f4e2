/* tokenizer.c — a tokenizer's life: opening by kind of file, adding tokens, facts about it. See tokenizer.h. */
#include "text/tokenizer.h"

#include "base/os.h"
#include "file/gguf.h"
#include <string.h>

/* ---- opening ----------------------------------------------------------------------------- */

struct lorac_tokenizer *tokenizer_new(struct memory *m, const char *path)
{
    struct lorac_tokenizer *t = mem_alloc(m, sizeof *t);
    if (!t) return NULL;
    t->memory = m;
    t->path = mem_text(m, path, strlen(path));
    if (!t->path) return mem_free(m, t), NULL;
    vocab_init(&t->vocab, m);
    added_init(&t->raw, m);
    added_init(&t->normalized, m);
    normalizer_init(&t->normalizer, m);
    decoder_init(&t->decoder, m);
    t->model = &model_bpe;
    t->scores = (struct list){.memory = m, .size = sizeof(double)};
    pretokenizer_init(&t->pretokenizer, m);
    t->prefix = t->suffix = (struct list){.memory = m, .size = sizeof(int32_t)};
    t->special = (struct tokenizer_special){-1, -1, -1, -1};
    return t;
}

static lorac_status open_gguf(struct lorac_tokenizer *t, bool map, lorac_error *err)
{
    struct gguf g;
    TRY(gguf_open(t->memory, t->path, map, &g, err));
    t->format = "GGUF";
    lorac_status status = tokenizer_read_gguf(t, &g, err);
    gguf_close(&g);
    return status;
}

/* Reads a file; `config` is the tokenizer_config.json beside it, NULL where there is none. */
typedef lorac_status (*read_fn)(struct lorac_tokenizer *t, const struct os_file *file, const json_t *config,
                                lorac_error *err);

static lorac_status read_json(struct lorac_tokenizer *t, const struct os_file *file, const json_t *config,
                              lorac_error *err)
{
    return tokenizer_read_json(t, file, err);
}

static lorac_status read_tekken(struct lorac_tokenizer *t, const struct os_file *file, const json_t *config,
                                lorac_error *err)
{
    return tokenizer_read_tekken(t, file->data, file->size, config, err);
}

static lorac_status read_model(struct lorac_tokenizer *t, const struct os_file *file, const json_t *config,
                               lorac_error *err)
{
    return tokenizer_read_model(t, file->data, file->size, config, err);
}

/* The kinds of file, the most telling first. */
static const struct file_kind {
    const char *name;       /* in a folder */
    const char *part, *end; /* of the name of a file that is given itself */
    const char *format;
    read_fn read;
} file_kinds[] = {
    {"tokenizer.json", "", ".json", "tokenizer.json", read_json},
    {"tekken.json", "tekken", ".json", "tekken.json", read_tekken},
    {"tokenizer.model", "", ".model", "SentencePiece", read_model},
    {"spiece.model", "", ".model", "SentencePiece", read_model},
};
enum { FILE_KINDS = sizeof file_kinds / sizeof *file_kinds };

static char *folder_of(struct memory *m, const char *path)
{
    const char *slash = strrchr(path, '/');
    return !slash ? mem_text(m, ".", 1) : mem_text(m, path, slash == path ? 1 : (size_t)(slash - path));
}

/* The first kind whose file the folder has, and the file's path; *kind NULL: none. */
static lorac_status kind_in(struct memory *m, const char *folder, const struct file_kind **kind, char **path,
                            lorac_error *err)
{
    *kind = NULL;
    for (size_t i = 0; i < FILE_KINDS; i++) {
        *path = os_join(m, folder, file_kinds[i].name);
        if (!*path) return fail_memory(err, "a path", strlen(folder));
        if (os_is_file(*path)) return *kind = &file_kinds[i], LORAC_OK;
        mem_free(m, *path);
    }
    return LORAC_OK;
}

/* t->path becomes the file's in the folder. */
static lorac_status find_file(struct lorac_tokenizer *t, const struct file_kind **kind, lorac_error *err)
{
    char *path;
    TRY(kind_in(t->memory, t->path, kind, &path, err));
    if (!*kind)
        return fail(err, LORAC_NOT_FOUND, t->path,
                    "there is no tokenizer.json, tekken.json or tokenizer.model in this folder");
    mem_free(t->memory, t->path);
    t->path = path;
    return LORAC_OK;
}

/* By the file's name; NULL: another's. */
static const struct file_kind *kind_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = FILE_KINDS; i-- > 0;) {
        size_t length = strlen(name), end = strlen(file_kinds[i].end);
        if (strstr(name, file_kinds[i].part) && length >= end && !strcmp(name + length - end, file_kinds[i].end))
            return &file_kinds[i];
    }
    return NULL;
}

bool tokenizer_is_at(struct memory *m, const char *path)
{
    const struct file_kind *kind;
    char *file;
    if (!os_is_folder(path)) return kind_of(path);
    if (kind_in(m, path, &kind, &file, NULL) != LORAC_OK || !kind) return false;
    mem_free(m, file);
    return true;
}

static lorac_status read_file(struct lorac_tokenizer *t, bool map, const struct file_kind *kind, const char *folder,
                              lorac_error *err)
{
    struct os_file file;
    json_t *config = NULL;
    TRY(os_file_open(t->memory, t->path, map, &file, err));
    lorac_status status = tokenizer_read_config(t->memory, folder, "tokenizer_config.json", &config, err);
    if (status == LORAC_OK) status = kind->read(t, &file, config, err);
    json_decref(config);
    os_file_close(&file);
    return status;
}

static lorac_status open_file_and_folder(struct lorac_tokenizer *t, bool map, lorac_error *err)
{
    const struct file_kind *kind = NULL;
    if (os_is_folder(t->path))
        TRY(find_file(t, &kind, err));
    else if (!(kind = kind_of(t->path)))
        kind = &file_kinds[0]; /* any other name: a tokenizer.json */
    t->format = kind->format;
    char *folder = folder_of(t->memory, t->path);
    if (!folder) return fail_memory(err, "a path", strlen(t->path));
    lorac_status status = read_file(t, map, kind, folder, err);
    if (status == LORAC_OK) status = tokenizer_read_folder(t, folder, err);
    mem_free(t->memory, folder);
    return status;
}

static lorac_status conclude(struct lorac_tokenizer *t, lorac_status status, struct lorac_tokenizer **out,
                             lorac_error *err)
{
    if (status == LORAC_OK) status = tokenizer_finish(t, err);
    if (status == LORAC_OK)
        *out = t;
    else
        lorac_tokenizer_close(t);
    return status;
}

lorac_status tokenizer_open(struct memory *m, bool map, const char *path, struct lorac_tokenizer **out,
                            lorac_error *err)
{
    struct lorac_tokenizer *t = tokenizer_new(m, path);
    if (!t) return fail_memory(err, "the tokenizer", sizeof *t);
    bool is_gguf = !os_is_folder(path) && gguf_is(path);
    return conclude(t, is_gguf ? open_gguf(t, map, err) : open_file_and_folder(t, map, err), out, err);
}

lorac_status tokenizer_open_json_bytes(struct memory *m, const char *text, size_t length, struct lorac_tokenizer **out,
                                       lorac_error *err)
{
    struct lorac_tokenizer *t = tokenizer_new(m, "tokenizer.json");
    if (!t) return fail_memory(err, "the tokenizer", sizeof *t);
    struct os_file file = {.data = (const uint8_t *)text, .size = length};
    return conclude(t, tokenizer_read_json(t, &file, err), out, err);
}

void lorac_tokenizer_close(lorac_tokenizer *t)
{
    if (!t) return;
    struct memory *m = t->memory;
    vocab_free(&t->vocab);
    bpe_free(&t->bpe);
    unigram_free(&t->unigram);
    wordpiece_free(&t->wordpiece);
    normalizer_free(&t->normalizer);
    decoder_free(&t->decoder);
    list_free(&t->scores);
    added_free(&t->raw);
    added_free(&t->normalized);
    pretokenizer_free(&t->pretokenizer);
    list_free(&t->prefix);
    list_free(&t->suffix);
    mem_free(m, t->chat_template);
    mem_free(m, t->chat_template_tools);
    mem_free(m, t->path);
    mem_free(m, t);
}

/* ---- for the readers --------------------------------------------------------------------- */

int32_t tokenizer_find(const struct lorac_tokenizer *t, const char *content, size_t length)
{
    for (int normalized = 0; normalized < 2; normalized++) {
        const struct list *items = normalized ? &t->normalized.items : &t->raw.items;
        for (size_t i = 0; i < items->count; i++) {
            int32_t id = ((const struct added_token *)items->items)[i].id;
            const struct token *token = &t->vocab.tokens[id];
            if (token->length == length && !memcmp(vocab_bytes(&t->vocab, token), content, length)) return id;
        }
    }
    return vocab_find(&t->vocab, content, length);
}

/* The text looked for is the content, or the content as the normaliser leaves it. */
static lorac_status look_for(struct lorac_tokenizer *t, struct added_token token, const char *content, lorac_error *err)
{
    if (!token.normalized) return added_put(&t->raw, token, content, err);
    struct text buffer = {.memory = t->memory};
    struct regex_match *match;
    TRY(regex_match_create(&match, err));
    const char *given = content;
    size_t length = token.length;
    lorac_status status = normalize(&t->normalizer, match, &buffer, &content, &token.length, err);
    if (token.length != length || memcmp(content, given, length)) t->vocab.tokens[token.id].flags |= TOKEN_RESPELLED;
    regex_match_free(match);
    if (status == LORAC_OK && token.length) status = added_put(&t->normalized, token, content, err);
    text_free(&buffer);
    return status;
}

lorac_status tokenizer_add_token(struct lorac_tokenizer *t, int64_t id, const char *content, size_t length,
                                 struct added_token flags, lorac_error *err)
{
    if (!length) return LORAC_OK; /* as in the reference */
    int32_t have = vocab_find(&t->vocab, content, length);
    if (have >= 0 && have != id)
        return fail(err, LORAC_FORMAT, t->path, "the added token \"%.*s\" has id %lld, but %d in the vocabulary",
                    length < 60 ? (int)length : 60, content, (long long)id, have);
    if (have < 0) TRY(vocab_put(&t->vocab, id, content, length, false, t->path, err));
    t->vocab.tokens[id].flags |= (uint32_t)(TOKEN_ADDED | (flags.special ? TOKEN_SPECIAL : 0));
    flags.id = (int32_t)id;
    flags.length = length;
    return look_for(t, flags, content, err);
}

void tokenizer_add_stop(struct lorac_tokenizer *t, int64_t id)
{
    if (id >= 0 && (uint64_t)id < t->vocab.count) t->vocab.tokens[id].flags |= TOKEN_STOP;
}

lorac_status tokenizer_add_fixed(struct list *fixed, int32_t id, lorac_error *err)
{
    int32_t *item = list_add(fixed);
    if (!item) return fail_memory(err, "the post-processor", fixed->count * sizeof id);
    *item = id;
    return LORAC_OK;
}

lorac_status tokenizer_finish(struct lorac_tokenizer *t, lorac_error *err)
{
    static const char *const end_of_turn[] = {"<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>",
                                              "<|end_of_turn|>"};
    for (size_t i = 0; i < sizeof end_of_turn / sizeof *end_of_turn && t->chat_template; i++)
        if (strstr(t->chat_template, end_of_turn[i]))
            tokenizer_add_stop(t, tokenizer_find(t, end_of_turn[i], strlen(end_of_turn[i])));
    if (!t->vocab.count) return fail(err, LORAC_FORMAT, t->path, "the vocabulary is empty");
    TRY(added_close(&t->raw, t->path, err));
    return added_close(&t->normalized, t->path, err);
}

/* ---- facts ------------------------------------------------------------------------------- */

void lorac_tokenizer_get_info(const lorac_tokenizer *t, lorac_tokenizer_info *info)
{
    lorac_tokenizer_info all = {
        .struct_size = info->struct_size,
        .vocab_size = t->vocab.count,
        .bos = t->special.bos,
        .eos = t->special.eos,
        .unknown = t->special.unknown,
        .adds_bos = t->prefix.count > 0,
        .adds_eos = t->suffix.count > 0,
        .chat_template = t->chat_template,
    };
    memcpy(info, &all, info->struct_size < sizeof all ? info->struct_size : sizeof all);
}

int lorac_tokenizer_is_stop(const lorac_tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->vocab.count && t->vocab.tokens[id].flags & TOKEN_STOP;
}
