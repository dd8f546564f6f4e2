/* tokenizer_parts.h — reading the small parts of a tokenizer.json. Each kind is one line of a table; a kind that is in
 * no table would change tokens in a way lorac does not know, and is refused by name.
 *
 * The readers of other files describe their tokenizer in the same parts: a normaliser, a pre-tokenizer, a decoder. */
#ifndef TEXT_TOKENIZER_PARTS_H
#define TEXT_TOKENIZER_PARTS_H

#include "text/tokenizer.h"

/* What is known when a part is read. */
struct parts {
    struct lorac_tokenizer *tokenizer;
    bool spells_bytes; /* a ByteLevel step came: words are bytes */
    lorac_error *err;
};
typedef lorac_status (*part_fn)(struct parts *p, const json_t *part);
struct part_kind {
    const char *type;
    part_fn read;
};

lorac_status parts_read_normalizer(struct parts *p, const json_t *part);
lorac_status parts_read_pretokenizer(struct parts *p, const json_t *part);
lorac_status parts_read_postprocessor(struct parts *p, const json_t *part);
lorac_status parts_read_decoder(struct parts *p, const json_t *part);
/* After the vocabulary, the merges and the pre-tokenizer. */
lorac_status parts_read_model(struct parts *p, const json_t *model);

/* ---- for the readers of parts ------------------------------------------------------------- */

/* A missing part changes nothing. `kinds` ends with an empty row. */
lorac_status parts_read_kind(struct parts *p, const char *what, const json_t *part, const struct part_kind *kinds);
lorac_status parts_read_list(struct parts *p, const char *what, const json_t *list, part_fn read);
const char *parts_type_of(const json_t *part);
lorac_status parts_unsupported(struct parts *p, const char *what, const char *name);
lorac_status parts_wrong(struct parts *p, const char *what);
lorac_status parts_bool(struct parts *p, const json_t *part, const char *key, bool fallback, bool *value);
lorac_status parts_text(struct parts *p, const json_t *part, const char *key, const char *fallback, const char **value);
/* A copy, *value NULL for an empty or missing text. */
lorac_status parts_copy(struct parts *p, const json_t *part, const char *key, const char *fallback, char **value);
/* lstrip, rstrip, ... of an added token. */
lorac_status parts_added_flags(struct parts *p, const json_t *part, struct added_token *flags);
/* {"String": ..} or {"Regex": ..} */
lorac_status parts_pattern(struct parts *p, const json_t *part, struct pattern *pattern);

#endif
