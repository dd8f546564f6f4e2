/* sentencepiece.h — tokenizers whose file gives SentencePiece pieces (id, text, score, type): tokenizer.model, GGUF.
 *
 * Such files say less than a tokenizer.json. What they leave open, transformers settles by the class of tokenizer it
 * builds from them; a family here is one such class, and its parts are written as tokenizer.json writes them. */
#ifndef TEXT_SENTENCEPIECE_H
#define TEXT_SENTENCEPIECE_H

#include "text/vocab_merges.h"

struct sentencepiece {
    struct lorac_tokenizer *tokenizer; /* its vocab is filled, and its scores */
    struct list types;                 /* uint8_t, by id */
    const struct sentencepiece_family *family;
    enum merge_order order;
    bool unigram, words, byte_fallback;                    /* words: each is a piece or unknown; else BPE */
    bool dummy_prefix, remove_extra_spaces, escape_spaces; /* what the file's normaliser says */
    bool legacy;                                           /* general family: a space before every piece of text */
    int32_t unknown;                                       /* what the model gives for a text without piece, -1: none */
    const uint8_t *charsmap;                               /* NULL: none */
    size_t charsmap_length;
    const json_t *config; /* the tokenizer_config.json beside the file, or NULL */
    const char *path;
};

void sentencepiece_init(struct sentencepiece *s, struct lorac_tokenizer *t);
/* Sets the family and the order: a tokenizer class's ("LlamaTokenizer"; NULL or unknown: the general one), or a GGUF
 * architecture's (after .unigram). */
void sentencepiece_of_class(struct sentencepiece *s, const char *class);
void sentencepiece_of_architecture(struct sentencepiece *s, const char *architecture);
/* Where the class decides on the space before the text, by its configuration. */
lorac_status sentencepiece_settle_prefix(struct sentencepiece *s, lorac_error *err);
bool sentencepiece_adds_eos(const struct sentencepiece *s); /* the family's word for a tokenizer.model */
void sentencepiece_free(struct sentencepiece *s);
lorac_status sentencepiece_add(struct sentencepiece *s, const char *piece, size_t length, double score,
                               enum piece_type type, lorac_error *err);
/* After the last piece, or with t->bpe's merges from elsewhere: the rest of the tokenizer. */
lorac_status sentencepiece_finish(struct sentencepiece *s, lorac_error *err);

/* sentencepiece_config.c: the configuration's "added_tokens_decoder"; `general`: the general family's. */
lorac_status sentencepiece_add_configured(struct sentencepiece *s, bool general, lorac_error *err);

#endif
