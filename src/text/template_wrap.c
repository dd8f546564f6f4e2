/* template_wrap.c — |wordwrap: each line of a text filled up to a width, as Python's textwrap does it. */
#include "text/template_impl.h"

#include <string.h>

struct wrap {
    struct render *r;
    struct text *out;
    int64_t width;
    bool at_hyphens, break_words, cut_at_hyphens; /* cut_at_hyphens: where a long word is broken */
    struct str end;                               /* what stands between lines */
    struct list chunks;                           /* of the line at work: struct chunk */
};
/* A word, a part of one up to a hyphen, or the space between two. */
struct chunk {
    struct str text;
    int64_t width;
};

/* ---- chunks ------------------------------------------------------------------------------ */

static bool parts_words(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static bool is_letter(uint32_t c)
{
    return is_word_character(c) && !is_decimal(c);
}

/* The character before *at, which moves there; 0 at the beginning. */
static uint32_t step_back(struct str s, size_t *at)
{
    if (!*at) return 0;
    while (--*at && ((uint8_t)s.at[*at] & 0xC0) == 0x80) {}
    size_t next = *at;
    return str_next(s, &next);
}

/* The character at *at, which moves on; 0 at the end. */
static uint32_t step(struct str s, size_t *at)
{
    return *at < s.length ? str_next(s, at) : 0;
}

/* Where the dashes end that begin at `at`, if they are several between two words; else `at`. */
static size_t dash_end(struct str s, size_t at)
{
    size_t before = at, end = at;
    uint32_t c = step_back(s, &before);
    if (!is_word_character(c) && !(c && c < 0x80 && strchr("!\"'&.,?", (int)c))) return at;
    while (end < s.length && s.at[end] == '-') end++;
    size_t next = end;
    return end - at >= 2 && is_word_character(step(s, &next)) ? end : at;
}

/* Whether a line may end after the hyphen at `at`: two letters on both sides, where one of two may be a hyphen. */
static bool ends_part(struct str s, size_t at)
{
    size_t before = at, after = at + 1;
    uint32_t c = 0;
    if (!is_letter(step_back(s, &before))) return false;
    c = step_back(s, &before);
    if (!is_letter(c) && !(c == '-' && is_letter(step_back(s, &before)))) return false;
    if (!is_letter(step(s, &after))) return false;
    c = step(s, &after);
    return is_letter(c) || (c == '-' && is_letter(step(s, &after)));
}

static size_t chunk_end(const struct wrap *w, struct str s, size_t at)
{
    if (parts_words(s.at[at])) {
        while (at < s.length && parts_words(s.at[at])) at++;
        return at;
    }
    size_t dashes = w->at_hyphens && s.at[at] == '-' ? dash_end(s, at) : at;
    if (dashes > at) return dashes;
    str_next(s, &at);
    for (; at < s.length && !parts_words(s.at[at]); str_next(s, &at)) {
        if (s.at[at] != '-' || !w->at_hyphens) continue;
        if (ends_part(s, at)) return at + 1;
        if (dash_end(s, at) > at) return at;
    }
    return at;
}

static bool find_chunks(struct wrap *w, struct str line)
{
    w->chunks.count = 0;
    for (size_t at = 0, end; at < line.length; at = end) {
        end = chunk_end(w, line, at);
        struct chunk *chunk = list_add(&w->chunks);
        if (!chunk) return host_fail(&w->r->host, LORAC_OUT_OF_MEMORY, "no memory for the words of a line");
        chunk->text = str_slice(line, at, end);
        chunk->width = (int64_t)str_characters(chunk->text);
        if (!work(w->r, 1)) return false;
    }
    return work_bytes(w->r, line.length);
}

/* ---- lines ------------------------------------------------------------------------------- */

/* What stands in the line so far. */
struct filled {
    struct str text, last; /* last: its last chunk */
    size_t count;          /* of chunks */
};

static void append(struct filled *f, struct str chunk)
{
    if (!f->count++) f->text = str_slice(chunk, 0, 0);
    f->text.length += chunk.length; /* chunks follow one another in the text */
    f->last = chunk;
}

static bool is_blank(struct str s)
{
    return !str_strip(s, NULL, true, false).length;
}

/* How many of the first `room` characters of a long word stay: up to the last hyphen, if there is more before it. */
static int64_t hyphen_end(struct str word, int64_t room)
{
    int64_t end = room;
    bool other = false;
    size_t at = 0;
    for (int64_t i = 0; i < room && at < word.length; i++) {
        bool hyphen = str_next(word, &at) == '-';
        if (hyphen && other) end = i + 1;
        other |= !hyphen;
    }
    return end;
}

/* The chunk is wider than any line: its beginning goes into what is free of this one, or all of it into its own. */
static void add_long_word(const struct wrap *w, struct filled *f, int64_t used, struct chunk *chunk, size_t *next)
{
    int64_t room = w->width - used;
    if (!w->break_words) {
        if (f->count) return;
        append(f, chunk->text);
        ++*next;
        return;
    }
    if (w->cut_at_hyphens) room = hyphen_end(chunk->text, room);
    size_t at = str_offset(chunk->text, (size_t)room);
    append(f, str_slice(chunk->text, 0, at));
    chunk->text = str_slice(chunk->text, at, chunk->text.length);
    chunk->width -= room;
}

/* Fills one line with the chunks from *next on. */
static struct filled fill(struct wrap *w, size_t *next)
{
    struct chunk *chunks = w->chunks.items;
    struct filled f = {0};
    int64_t used = 0;
    for (; *next < w->chunks.count && used + chunks[*next].width <= w->width; ++*next) {
        used += chunks[*next].width;
        append(&f, chunks[*next].text);
    }
    if (*next < w->chunks.count && chunks[*next].width > w->width) add_long_word(w, &f, used, &chunks[*next], next);
    if (f.count && is_blank(f.last)) {
        f.count--;
        f.text.length -= f.last.length;
    }
    return f;
}

static bool wrap_line(struct wrap *w, struct str line)
{
    const struct chunk *chunks;
    bool first = true;
    if (w->width <= 0) return host_fail(&w->r->host, LORAC_FORMAT, "wordwrap takes a width above 0");
    if (!find_chunks(w, line)) return false;
    chunks = w->chunks.items;
    for (size_t next = 0; next < w->chunks.count;) {
        if (!first && is_blank(chunks[next].text)) next++; /* but not before the first line */
        struct filled f = fill(w, &next);
        if (!f.count) continue;
        if (!first) text_add(w->out, w->end.at, w->end.length);
        text_add(w->out, f.text.at, f.text.length);
        first = false;
        if (w->out->length > OUTPUT_LIMIT)
            return host_fail(&w->r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
        if (!work(w->r, 1)) return false;
    }
    return true;
}

bool filter_wordwrap(struct render *r, struct call *c, struct value *result)
{
    struct value width = c->arg[0], end = c->arg[2], hyphens = c->arg[3];
    if (c->self.kind != V_STR) return wants(r, c, "a string", c->self);
    if (width.kind != V_ABSENT && !is_integer(width)) return wants(r, c, "an integer", width);
    if (end.kind > V_NONE && end.kind != V_STR) return wants(r, c, "a string between lines", end);
    struct text t = builder(r);
    struct wrap w = {.r = r,
                     .out = &t,
                     .width = width.kind == V_ABSENT ? 79 : integer_of(width),
                     .at_hyphens = hyphens.kind == V_ABSENT || (hyphens.kind == V_BOOL && hyphens.boolean),
                     .cut_at_hyphens = hyphens.kind == V_ABSENT || truth(hyphens),
                     .break_words = c->arg[1].kind == V_ABSENT || truth(c->arg[1]),
                     .end = end.kind == V_STR ? end.text : STR("\n"),
                     .chunks = {.memory = r->host.arena.memory, .size = sizeof(struct chunk)}};
    for (size_t at = 0, next; at < c->self.text.length; at = next) {
        size_t line_end = str_line(c->self.text, at, &next);
        if (at) text_add(&t, w.end.at, w.end.length);
        if (!wrap_line(&w, str_slice(c->self.text, at, line_end))) break;
    }
    list_free(&w.chunks);
    return builder_end(r, &t, result);
}
