/* parts_model.c — the "model" of a tokenizer.json, after its vocabulary and merges. */
#include "text/tokenizer_parts.h"

#include <string.h>

/* *id: -1 where the text is empty or no token. */
static lorac_status read_unknown(struct parts *p, const json_t *model, const char *fallback, int32_t *id)
{
    const char *unknown;
    TRY(parts_text(p, model, "unk_token", fallback, &unknown));
    *id = *unknown ? vocab_find(&p->tokenizer->vocab, unknown, strlen(unknown)) : -1;
    p->tokenizer->special.unknown = *id;
    return LORAC_OK;
}

/* ---- BPE --------------------------------------------------------------------------------- */

/* Words that are bytes are quicker to merge, but their tokens have no prefix, suffix or fallback. */
static bool merges_bytes(const struct parts *p)
{
    const struct bpe *b = &p->tokenizer->bpe;
    bool all_bytes = true;
    for (int byte = 0; byte < 256; byte++) all_bytes &= b->byte_id[byte] >= 0;
    return p->spells_bytes && !b->prefix && !b->suffix && (all_bytes || !b->byte_fallback);
}

/* The model sees the bytes' spelling. */
static lorac_status see_text(struct parts *p)
{
    return pretokenizer_stay_spelled(&p->tokenizer->pretokenizer, p->tokenizer->path, p->err);
}

static lorac_status read_bpe(struct parts *p, const json_t *model)
{
    struct lorac_tokenizer *t = p->tokenizer;
    double dropout;
    t->model = &model_bpe;
    TRY(json_get_float(model, "dropout", 0, &dropout, t->path, p->err));
    if (dropout != 0) return parts_wrong(p, "the model drops merges at random (dropout): its tokens are not fixed");
    TRY(read_unknown(p, model, "", &t->bpe.unknown));
    TRY(parts_bool(p, model, "fuse_unk", false, &t->bpe.fuse_unknown));
    TRY(parts_bool(p, model, "ignore_merges", false, &t->bpe.ignore_merges));
    TRY(parts_bool(p, model, "byte_fallback", false, &t->bpe.byte_fallback));
    TRY(parts_copy(p, model, "end_of_word_suffix", "", &t->bpe.suffix));
    if (merges_bytes(p)) return LORAC_OK;
    TRY(see_text(p));
    return bpe_use_characters(&t->bpe, &t->vocab, p->err);
}

/* ---- Unigram ----------------------------------------------------------------------------- */

static lorac_status read_unigram(struct parts *p, const json_t *model)
{
    struct lorac_tokenizer *t = p->tokenizer;
    size_t unknown;
    bool byte_fallback;
    t->model = &model_unigram;
    TRY(json_get_size(model, "unk_id", SIZE_MAX, &unknown, t->path, p->err));
    TRY(parts_bool(p, model, "byte_fallback", false, &byte_fallback));
    if (t->scores.count != t->vocab.count) return parts_wrong(p, "a token of the Unigram model has no score");
    if (unknown != SIZE_MAX && unknown >= t->vocab.count) return parts_wrong(p, "\"unk_id\" is not a token");
    t->special.unknown = unknown == SIZE_MAX ? -1 : (int32_t)unknown;
    return unigram_make(&t->unigram, t->memory, &t->vocab, t->scores.items, t->special.unknown, byte_fallback, p->err);
}

/* ---- WordPiece, WordLevel ---------------------------------------------------------------- */

static lorac_status read_wordpiece(struct parts *p, const json_t *model)
{
    struct lorac_tokenizer *t = p->tokenizer;
    const char *prefix;
    t->model = &model_wordpiece;
    TRY(parts_text(p, model, "continuing_subword_prefix", "##", &prefix));
    TRY(json_get_size(model, "max_input_chars_per_word", 100, &t->wordpiece.longest_word, t->path, p->err));
    TRY(read_unknown(p, model, "[UNK]", &t->wordpiece.unknown));
    if (t->wordpiece.unknown < 0) return parts_wrong(p, "the WordPiece model's unk_token is not in its vocabulary");
    return wordpiece_make(&t->wordpiece, t->memory, &t->vocab, prefix, p->err);
}

static lorac_status read_wordlevel(struct parts *p, const json_t *model)
{
    int32_t unknown;
    p->tokenizer->model = &model_wordlevel;
    return read_unknown(p, model, "<unk>", &unknown);
}

/* ---- all --------------------------------------------------------------------------------- */

/* Older files do not say; what they hold tells. */
static const char *type_of(const json_t *model)
{
    if (json_object_get(model, "type")) return parts_type_of(model);
    return json_object_get(model, "merges")                      ? "BPE"
           : json_object_get(model, "unk_id")                    ? "Unigram"
           : json_object_get(model, "continuing_subword_prefix") ? "WordPiece"
                                                                 : "WordLevel";
}

lorac_status parts_read_model(struct parts *p, const json_t *model)
{
    static const struct part_kind models[] = {{"BPE", read_bpe},
                                              {"Unigram", read_unigram},
                                              {"WordPiece", read_wordpiece},
                                              {"WordLevel", read_wordlevel},
                                              {0}};
    if (!json_is_object(model)) return parts_wrong(p, "there is no \"model\"");
    const char *type = type_of(model);
    if (strcmp(type, "BPE")) TRY(see_text(p));
    for (const struct part_kind *kind = models; kind->type; kind++)
        if (!strcmp(kind->type, type)) return kind->read(p, model);
    return parts_unsupported(p, "model", type);
}
