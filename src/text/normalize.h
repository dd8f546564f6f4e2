/* normalize.h — the normalisers that tokenizer files name: text to text, a list of steps. */
#ifndef TEXT_NORMALIZE_H
#define TEXT_NORMALIZE_H

#include "text/bytelevel.h"
#include "text/pattern.h"

struct normalizer_step;
/* Appends to *out what the step makes of text (valid UTF-8). */
typedef lorac_status (*normalize_fn)(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                     size_t length, struct text *out, lorac_error *err);

struct normalizer_step {
    normalize_fn apply;
    struct pattern pattern;                            /* Replace */
    char *content;                                     /* Replace: what a match becomes; Prepend */
    struct charsmap *charsmap;                         /* Precompiled */
    int form;                                          /* NFC .. NFKD: utf8proc's options */
    bool left, right;                                  /* Strip */
    bool trim, trim_marks, escape, mark_again;         /* SentencePiece */
    bool clean, pad_chinese, strip_accents, lowercase; /* BertNormalizer */
};

struct normalizer {
    struct memory *memory;
    struct list steps; /* struct normalizer_step */
};
void normalizer_init(struct normalizer *n, struct memory *m);
void normalizer_free(struct normalizer *n);
struct normalizer_step *normalizer_add(struct normalizer *n, normalize_fn apply, lorac_error *err); /* or NULL */

/* *text (length) becomes the normalised text: itself, or *buffer's (memory set), which is overwritten. Valid UTF-8. */
lorac_status normalize(const struct normalizer *n, struct regex_match *match, struct text *buffer, const char **text,
                       size_t *length, lorac_error *err);

/* ---- the steps --------------------------------------------------------------------------- */

/* normalize.c */
lorac_status normalize_replace(const struct normalizer_step *step, struct regex_match *match, const char *text,
                               size_t length, struct text *out, lorac_error *err);
lorac_status normalize_prepend(const struct normalizer_step *step, struct regex_match *match, const char *text,
                               size_t length, struct text *out, lorac_error *err);
lorac_status normalize_strip(const struct normalizer_step *step, struct regex_match *match, const char *text,
                             size_t length, struct text *out, lorac_error *err);
lorac_status normalize_byte_level(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                  size_t length, struct text *out, lorac_error *err);
/* SentencePiece's own way with spaces: `trim` drops them at both ends and all but one of a run,
 * `trim_marks` marks (U+2581) at the end as well, `escape` makes marks of them, `mark_again` puts a mark before a text
 * that begins with one. */
lorac_status normalize_spaces(const struct normalizer_step *step, struct regex_match *match, const char *text,
                              size_t length, struct text *out, lorac_error *err);
/* normalize_forms.c: NFC, NFD, NFKC, NFKD */
lorac_status normalize_form(const struct normalizer_step *step, struct regex_match *match, const char *text,
                            size_t length, struct text *out, lorac_error *err);
/* normalize_characters.c: character by character */
lorac_status normalize_lowercase(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                 size_t length, struct text *out, lorac_error *err);
lorac_status normalize_strip_accents(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                     size_t length, struct text *out, lorac_error *err);
lorac_status normalize_nmt(const struct normalizer_step *step, struct regex_match *match, const char *text,
                           size_t length, struct text *out, lorac_error *err);
lorac_status normalize_bert(const struct normalizer_step *step, struct regex_match *match, const char *text,
                            size_t length, struct text *out, lorac_error *err);
/* charsmap.c */
lorac_status normalize_precompiled(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                   size_t length, struct text *out, lorac_error *err);
/* The bytes of a SentencePiece precompiled_charsmap, copied. */
lorac_status charsmap_make(struct memory *m, const uint8_t *bytes, size_t length, const char *file,
                           struct charsmap **map, lorac_error *err);
void charsmap_free(struct charsmap *map);

bool is_white_space(uint32_t code); /* as Unicode's White_Space */

#endif
