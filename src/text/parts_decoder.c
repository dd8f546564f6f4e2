/* parts_decoder.c — the "decoder" of a tokenizer.json. */
#include "text/tokenizer_parts.h"

#include <string.h>

static lorac_status read_sequence(struct parts *p, const json_t *part)
{
    return parts_read_list(p, "the decoder has no list \"decoders\"", json_object_get(part, "decoders"),
                           parts_read_decoder);
}

static struct decoder_step *add(struct parts *p, const json_t *part)
{
    return decoder_add(&p->tokenizer->decoder, decoder_kind_named(parts_type_of(part)), p->err);
}

static lorac_status read_plain(struct parts *p, const json_t *part)
{
    return add(p, part) ? LORAC_OK : LORAC_OUT_OF_MEMORY;
}

static lorac_status read_replace(struct parts *p, const json_t *part)
{
    struct decoder_step *step = add(p, part);
    if (!step) return LORAC_OUT_OF_MEMORY;
    TRY(parts_pattern(p, part, &step->pattern));
    return parts_copy(p, part, "content", "", &step->content);
}

/* What the kind seeks: the file's text under `key`, else `fallback`. */
static lorac_status read_marker(struct parts *p, const json_t *part, const char *key, const char *fallback,
                                struct decoder_step *step)
{
    if (!step) return LORAC_OUT_OF_MEMORY;
    return parts_copy(p, part, key, fallback, &step->marker);
}

static lorac_status read_strip(struct parts *p, const json_t *part)
{
    struct decoder_step *step = add(p, part);
    const char *path = p->tokenizer->path;
    TRY(read_marker(p, part, "content", "", step));
    if (!step->marker) return parts_wrong(p, "a Strip has no content");
    TRY(json_get_size(part, "start", 0, &step->start, path, p->err));
    return json_get_size(part, "stop", 0, &step->stop, path, p->err);
}

static lorac_status read_metaspace(struct parts *p, const json_t *part)
{
    struct decoder_step *step = add(p, part);
    const char *scheme;
    bool prefix;
    TRY(read_marker(p, part, "replacement", "\xE2\x96\x81", step));
    TRY(parts_bool(p, part, "add_prefix_space", true, &prefix)); /* older files */
    TRY(parts_text(p, part, "prepend_scheme", prefix ? "always" : "never", &scheme));
    step->drops_first = strcmp(scheme, "never") != 0;
    return LORAC_OK;
}

static lorac_status read_word_piece(struct parts *p, const json_t *part)
{
    struct decoder_step *step = add(p, part);
    TRY(read_marker(p, part, "prefix", "##", step));
    return parts_bool(p, part, "cleanup", true, &step->cleanup);
}

static lorac_status read_suffixed(struct parts *p, const json_t *part)
{
    return read_marker(p, part, "suffix", "</w>", add(p, part));
}

static lorac_status read_ctc(struct parts *p, const json_t *part)
{
    struct decoder_step *step = add(p, part);
    TRY(read_marker(p, part, "pad_token", "<pad>", step));
    TRY(parts_copy(p, part, "word_delimiter_token", "|", &step->delimiter));
    return parts_bool(p, part, "cleanup", true, &step->cleanup);
}

static const struct part_kind decoders[] = {{"Sequence", read_sequence},
                                            {"ByteLevel", read_plain},
                                            {"ByteFallback", read_plain},
                                            {"Fuse", read_plain},
                                            {"Replace", read_replace},
                                            {"Strip", read_strip},
                                            {"Metaspace", read_metaspace},
                                            {"WordPiece", read_word_piece},
                                            {"BPEDecoder", read_suffixed},
                                            {"CTC", read_ctc},
                                            {0}};

lorac_status parts_read_decoder(struct parts *p, const json_t *part)
{
    return parts_read_kind(p, "decoder", part, decoders);
}
