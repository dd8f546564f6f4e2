/* tokenizer_model.c — a tokenizer.model: SentencePiece's ModelProto, a protocol buffer, or tiktoken's lines. */
#include "base/protobuf.h"
#include "text/sentencepiece.h"

#include <string.h>

/* Fields of the messages, and what they are if a file leaves them out. */
enum { MODEL_PIECES = 1, MODEL_TRAINER, MODEL_NORMALIZER };
enum { PIECE_TEXT = 1, PIECE_SCORE, PIECE_TYPE };
enum {
    TRAINER_TYPE = 3,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNKNOWN_ID = 40,
    TRAINER_BOS_ID,
    TRAINER_EOS_ID,
    TRAINER_PAD_ID,
};
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_DUMMY_PREFIX, NORMALIZER_REMOVE_SPACES, NORMALIZER_ESCAPE_SPACES };
enum { TYPE_UNIGRAM = 1, TYPE_BPE, TYPE_WORD, TYPE_CHAR }; /* of characters: a BPE without merges */

struct model_file {
    struct sentencepiece pieces;
    uint64_t type;
    int64_t unknown, bos, eos; /* pad is set by the files beside it alone, as in transformers */
};

static lorac_status damaged(const struct model_file *f, lorac_error *err)
{
    return fail(err, LORAC_FORMAT, f->pieces.path, "the SentencePiece model is damaged");
}

typedef void (*field_fn)(struct model_file *f, const struct protobuf_field *field);

static lorac_status read_message(struct model_file *f, const struct protobuf_field *message, field_fn read,
                                 lorac_error *err)
{
    struct reader r = {.data = message->bytes, .size = message->length};
    struct protobuf_field field;
    if (!message->bytes) return damaged(f, err);
    while (protobuf_next(&r, &field)) read(f, &field);
    return r.failed ? damaged(f, err) : LORAC_OK;
}

static lorac_status read_piece(struct model_file *f, const struct protobuf_field *message, lorac_error *err)
{
    struct reader r = {.data = message->bytes, .size = message->length};
    struct protobuf_field field, text = {0};
    double score = 0;
    uint64_t type = PIECE_NORMAL;
    while (protobuf_next(&r, &field)) {
        if (field.number == PIECE_TEXT) text = field;
        if (field.number == PIECE_SCORE) score = protobuf_float(&field);
        if (field.number == PIECE_TYPE) type = field.value;
    }
    if (r.failed || !text.bytes || type < PIECE_NORMAL || type > PIECE_BYTE) return damaged(f, err);
    return sentencepiece_add(&f->pieces, (const char *)text.bytes, text.length, score, (enum piece_type)type, err);
}

static void read_trainer(struct model_file *f, const struct protobuf_field *field)
{
    if (field->number == TRAINER_TYPE) f->type = field->value;
    if (field->number == TRAINER_BYTE_FALLBACK) f->pieces.byte_fallback = field->value != 0;
    if (field->number == TRAINER_UNKNOWN_ID) f->unknown = (int32_t)field->value;
    if (field->number == TRAINER_BOS_ID) f->bos = (int32_t)field->value;
    if (field->number == TRAINER_EOS_ID) f->eos = (int32_t)field->value;
}

static void read_normalizer(struct model_file *f, const struct protobuf_field *field)
{
    if (field->number == NORMALIZER_CHARSMAP)
        f->pieces.charsmap = field->bytes, f->pieces.charsmap_length = field->length;
    if (field->number == NORMALIZER_DUMMY_PREFIX) f->pieces.dummy_prefix = field->value != 0;
    if (field->number == NORMALIZER_REMOVE_SPACES) f->pieces.remove_extra_spaces = field->value != 0;
    if (field->number == NORMALIZER_ESCAPE_SPACES) f->pieces.escape_spaces = field->value != 0;
}

static lorac_status read_fields(struct model_file *f, const uint8_t *bytes, size_t size, lorac_error *err)
{
    struct reader r = {.data = bytes, .size = size};
    struct protobuf_field field;
    while (protobuf_next(&r, &field)) {
        if (field.number == MODEL_PIECES) TRY(read_piece(f, &field, err));
        if (field.number == MODEL_TRAINER) TRY(read_message(f, &field, read_trainer, err));
        if (field.number == MODEL_NORMALIZER) TRY(read_message(f, &field, read_normalizer, err));
    }
    return r.failed ? damaged(f, err) : LORAC_OK;
}

static int32_t in_range(const struct model_file *f, int64_t id)
{
    return id >= 0 && (uint64_t)id < f->pieces.types.count ? (int32_t)id : -1;
}

static lorac_status finish(struct model_file *f, lorac_error *err)
{
    struct lorac_tokenizer *t = f->pieces.tokenizer;
    if (f->type < TYPE_UNIGRAM || f->type > TYPE_CHAR) return damaged(f, err);
    f->pieces.unigram = f->type == TYPE_UNIGRAM;
    f->pieces.words = f->type == TYPE_WORD;
    if (f->pieces.words) sentencepiece_of_class(&f->pieces, NULL); /* no class has such a model */
    f->pieces.unknown = t->special.unknown = in_range(f, f->unknown);
    t->special.bos = in_range(f, f->bos);
    t->special.eos = in_range(f, f->eos);
    TRY(sentencepiece_finish(&f->pieces, err));
    bool ends = sentencepiece_adds_eos(&f->pieces) && t->special.eos >= 0;
    return ends ? tokenizer_add_fixed(&t->suffix, t->special.eos, err) : LORAC_OK;
}

/* Which class transformers would build, and how: the tokenizer_config.json's word, which may be missing. */
static lorac_status read_class(struct model_file *f, lorac_error *err)
{
    const char *class, *path = f->pieces.path;
    const json_t *config = f->pieces.config;
    TRY(json_get_text(config, "tokenizer_class", "", &class, path, err));
    sentencepiece_of_class(&f->pieces, class);
    return json_get_bool(config, "legacy", true, &f->pieces.legacy, path, err);
}

lorac_status tokenizer_read_model(struct lorac_tokenizer *t, const uint8_t *bytes, size_t size, const json_t *config,
                                  lorac_error *err)
{
    if (tokenizer_is_tiktoken(bytes, size)) return tokenizer_read_tiktoken(t, bytes, size, err);
    struct model_file f = {.type = TYPE_UNIGRAM, .unknown = 0, .bos = 1, .eos = 2};
    sentencepiece_init(&f.pieces, t);
    f.pieces.config = config;
    lorac_status status = read_class(&f, err);
    if (status == LORAC_OK) status = read_fields(&f, bytes, size, err);
    if (status == LORAC_OK) status = sentencepiece_settle_prefix(&f.pieces, err);
    if (status == LORAC_OK) status = finish(&f, err);
    sentencepiece_free(&f.pieces);
    return status;
}
