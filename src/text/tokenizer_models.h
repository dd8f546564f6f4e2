/* tokenizer_models.h — the kinds of model that turn a word, or a whole text where nothing cuts it, into ids. */
#ifndef TEXT_TOKENIZER_MODELS_H
#define TEXT_TOKENIZER_MODELS_H

#include "text/bpe.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

struct lorac_tokenizer;

/* What one encoder needs. */
struct model_scratch {
    struct bpe_scratch bpe;
    struct unigram_scratch unigram;
};
void model_scratch_init(struct model_scratch *s, struct memory *m);
void model_scratch_free(struct model_scratch *s);

struct model_kind {
    const char *name;
    /* Appends the ids (int32_t) of `word` to *ids. */
    lorac_status (*encode)(const struct lorac_tokenizer *t, struct model_scratch *s, const char *word, size_t length,
                           struct text *ids, lorac_error *err);
};
const char *tokenizer_type(const struct lorac_tokenizer *t); /* for people: "byte-level BPE", "Unigram" ... */
extern const struct model_kind model_bpe, model_unigram, model_wordpiece, model_wordlevel,
    model_words; /* SentencePiece's: neighbouring unknown words give one token */

#endif
