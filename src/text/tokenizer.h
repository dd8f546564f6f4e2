/* tokenizer.h — the parts of a tokenizer, and the readers that fill them.
 *
 * text -> added tokens -> normaliser -> added tokens of normalised text -> words -> model -> ids
 * ids -> decoder -> text
 * A reader fills a zeroed tokenizer and leaves it to tokenizer_close on failure. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include <lorac/tokenizer.h>
#include "base/json.h"
#include "base/os.h"
#include "text/added.h"
#include "text/decode_chain.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/tokenizer_models.h"

struct tokenizer_special { /* tokens with a role, -1 where there is none; templates see their text */
    int32_t bos, eos, unknown, pad;
};

struct lorac_tokenizer {
    struct memory *memory;
    char *path;
    const char *format; /* of the file, for people: "tokenizer.json", "SentencePiece" ... */
    struct vocab vocab;
    const struct model_kind *model; /* which of these turns words into ids */
    struct bpe bpe;
    struct unigram unigram;
    struct wordpiece wordpiece;
    struct normalizer normalizer;
    struct added raw, normalized; /* added tokens looked for before and after the normaliser */
    struct pretokenizer pretokenizer;
    struct decoder decoder;
    struct list scores;         /* double, by id: what the file gives a token; may be fewer than tokens */
    struct list prefix, suffix; /* int32_t: what the post-processor adds before and after */
    struct tokenizer_special special;
    char *chat_template;       /* NULL where there is none */
    char *chat_template_tools; /* the one for chats with tools, where a file has two */
};

lorac_status tokenizer_open(struct memory *m, bool map, const char *path, struct lorac_tokenizer **out,
                            lorac_error *err);

/* Whether a file has a tokenizer file's name, or a folder holds one. */
bool tokenizer_is_at(struct memory *m, const char *path);

/* An empty one, `path` being what errors call it; NULL without memory. Closed with lorac_tokenizer_close. */
struct lorac_tokenizer *tokenizer_new(struct memory *m, const char *path);
/* From a tokenizer.json's bytes alone. */
lorac_status tokenizer_open_json_bytes(struct memory *m, const char *text, size_t length, struct lorac_tokenizer **out,
                                       lorac_error *err);

/* ---- readers ----------------------------------------------------------------------------- */

struct gguf;
lorac_status tokenizer_read_gguf(struct lorac_tokenizer *t, const struct gguf *g, lorac_error *err);
lorac_status tokenizer_read_json(struct lorac_tokenizer *t, const struct os_file *file, lorac_error *err);
/* A tokenizer.model's bytes; `config`: the tokenizer_config.json beside it, or NULL. */
lorac_status tokenizer_read_model(struct lorac_tokenizer *t, const uint8_t *bytes, size_t size, const json_t *config,
                                  lorac_error *err);
/* A tekken.json's; tiktoken's lines, which some files called tokenizer.model hold. */
lorac_status tokenizer_read_tekken(struct lorac_tokenizer *t, const uint8_t *bytes, size_t size, const json_t *config,
                                   lorac_error *err);
bool tokenizer_is_tiktoken(const uint8_t *bytes, size_t size);
lorac_status tokenizer_read_tiktoken(struct lorac_tokenizer *t, const uint8_t *bytes, size_t size, lorac_error *err);
/* The pieces of a tokenizer.json other than its vocabulary and merges. */
lorac_status tokenizer_read_parts(struct lorac_tokenizer *t, const json_t *root, lorac_error *err);
/* *value is NULL where there is no such file. */
lorac_status tokenizer_read_config(struct memory *m, const char *folder, const char *name, json_t **value,
                                   lorac_error *err);
/* The files beside a tokenizer.json. */
lorac_status tokenizer_read_folder(struct lorac_tokenizer *t, const char *folder, lorac_error *err);

/* ---- for the readers --------------------------------------------------------------------- */

/* A token found in the text: a new one, or one that the vocabulary has under that id. */
lorac_status tokenizer_add_token(struct lorac_tokenizer *t, int64_t id, const char *content, size_t length,
                                 struct added_token flags, lorac_error *err);
int32_t tokenizer_find(const struct lorac_tokenizer *t, const char *content,
                       size_t length);                          /* added ones too; -1: none */
void tokenizer_add_stop(struct lorac_tokenizer *t, int64_t id); /* an id out of range is left alone */
lorac_status tokenizer_add_fixed(struct list *fixed, int32_t id, lorac_error *err);
/* After the readers: the added tokens are sorted, the template's end of turn is a stop. tokenizer_open calls it. */
lorac_status tokenizer_finish(struct lorac_tokenizer *t, lorac_error *err);

#endif
