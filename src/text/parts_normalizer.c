/* parts_normalizer.c — the "normalizer" of a tokenizer.json. */
#include "text/tokenizer_parts.h"

#include "base/base64.h"
#include <string.h>
#include <utf8proc.h>

static lorac_status read_sequence(struct parts *p, const json_t *part)
{
    return parts_read_list(p, "the normalizer has no list \"normalizers\"", json_object_get(part, "normalizers"),
                           parts_read_normalizer);
}

/* ---- steps with settings ----------------------------------------------------------------- */

static struct normalizer_step *add(struct parts *p, normalize_fn apply)
{
    return normalizer_add(&p->tokenizer->normalizer, apply, p->err);
}

static lorac_status read_replace(struct parts *p, const json_t *part)
{
    struct normalizer_step *step = add(p, normalize_replace);
    if (!step) return LORAC_OUT_OF_MEMORY;
    TRY(parts_pattern(p, part, &step->pattern));
    return parts_copy(p, part, "content", "", &step->content);
}

static lorac_status read_prepend(struct parts *p, const json_t *part)
{
    struct normalizer_step *step = add(p, normalize_prepend);
    return step ? parts_copy(p, part, "prepend", "", &step->content) : LORAC_OUT_OF_MEMORY;
}

static lorac_status read_strip(struct parts *p, const json_t *part)
{
    struct normalizer_step *step = add(p, normalize_strip);
    if (!step) return LORAC_OUT_OF_MEMORY;
    TRY(parts_bool(p, part, "strip_left", true, &step->left));
    return parts_bool(p, part, "strip_right", true, &step->right);
}

/* Without a word on accents, they go where letters are lowered. */
static lorac_status read_bert(struct parts *p, const json_t *part)
{
    struct normalizer_step *step = add(p, normalize_bert);
    if (!step) return LORAC_OUT_OF_MEMORY;
    TRY(parts_bool(p, part, "clean_text", true, &step->clean));
    TRY(parts_bool(p, part, "handle_chinese_chars", true, &step->pad_chinese));
    TRY(parts_bool(p, part, "lowercase", true, &step->lowercase));
    return parts_bool(p, part, "strip_accents", step->lowercase, &step->strip_accents);
}

/* ---- Precompiled ------------------------------------------------------------------------- */

static lorac_status read_precompiled(struct parts *p, const json_t *part)
{
    struct text bytes = {.memory = p->tokenizer->memory};
    const char *coded;
    TRY(parts_text(p, part, "precompiled_charsmap", "", &coded));
    if (!*coded) return LORAC_OK;
    struct normalizer_step *step = add(p, normalize_precompiled);
    if (!step) return LORAC_OUT_OF_MEMORY;
    lorac_status status = base64_read(coded, strlen(coded), &bytes)
                              ? charsmap_make(p->tokenizer->memory, (const uint8_t *)bytes.data, bytes.length,
                                              p->tokenizer->path, &step->charsmap, p->err)
                              : parts_wrong(p, "the precompiled_charsmap is not base64");
    text_free(&bytes);
    return status;
}

/* ---- steps without settings -------------------------------------------------------------- */

static lorac_status read_form(struct parts *p, const json_t *part)
{
    static const struct {
        const char *type;
        int options;
    } forms[] = {{"NFC", UTF8PROC_COMPOSE},
                 {"NFD", UTF8PROC_DECOMPOSE},
                 {"NFKC", UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
                 {"NFKD", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
    struct normalizer_step *step = add(p, normalize_form);
    if (!step) return LORAC_OUT_OF_MEMORY;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(forms[i].type, parts_type_of(part))) step->form = UTF8PROC_STABLE | forms[i].options;
    return LORAC_OK;
}

static lorac_status read_plain(struct parts *p, const json_t *part)
{
    static const struct {
        const char *type;
        normalize_fn apply;
    } plain[] = {{"Lowercase", normalize_lowercase},
                 {"StripAccents", normalize_strip_accents},
                 {"Nmt", normalize_nmt},
                 {"ByteLevel", normalize_byte_level}};
    size_t i = 0;
    while (strcmp(plain[i].type, parts_type_of(part))) i++;
    return add(p, plain[i].apply) ? LORAC_OK : LORAC_OUT_OF_MEMORY;
}

static const struct part_kind normalizers[] = {{"Sequence", read_sequence},
                                               {"Replace", read_replace},
                                               {"Prepend", read_prepend},
                                               {"Strip", read_strip},
                                               {"BertNormalizer", read_bert},
                                               {"Precompiled", read_precompiled},
                                               {"NFC", read_form},
                                               {"NFD", read_form},
                                               {"NFKC", read_form},
                                               {"NFKD", read_form},
                                               {"Lowercase", read_plain},
                                               {"StripAccents", read_plain},
                                               {"Nmt", read_plain},
                                               {"ByteLevel", read_plain},
                                               {0}};

lorac_status parts_read_normalizer(struct parts *p, const json_t *part)
{
    return parts_read_kind(p, "normalizer", part, normalizers);
}
