/* template_str_parts.c — methods of str that search, replace, split and join. */
#include "text/template_impl.h"

#include <string.h>

/* ---- str: parts -------------------------------------------------------------------------- */

/* The range of characters [arg[1], arg[2]) as bytes; false: nothing can be found there. */
static bool search_range(struct render *r, struct call *c, struct str *s, size_t *offset, bool *possible)
{
    struct value limits[3] = {c->arg[1], c->arg[2], {0}}, part;
    size_t count = str_characters(c->self.text);
    *possible = !is_integer(limits[0]) || integer_of(limits[0]) <= (int64_t)count;
    if (!get_slice(r, c->self, limits, &part)) return false;
    *s = part.text;
    *offset = part.text.at && c->self.text.at ? (size_t)(part.text.at - c->self.text.at) : 0;
    return true;
}

static bool has_affix(struct str s, struct str affix, bool at_end)
{
    if (affix.length > s.length) return false;
    return str_equal(at_end ? str_slice(s, s.length - affix.length, s.length) : str_slice(s, 0, affix.length), affix);
}

/* One string or a tuple of them. */
static bool affix(struct render *r, struct call *c, bool at_end, struct value *result)
{
    struct str s;
    size_t offset;
    bool possible, found = false;
    struct value v = c->arg[0];
    struct items one = {.count = 1, .at = &v}, *all = v.kind == V_TUPLE ? v.items : &one;
    if (!search_range(r, c, &s, &offset, &possible)) return false;
    for (size_t i = 0; i < all->count; i++) {
        if (all->at[i].kind != V_STR) return wants(r, c, "a string or a tuple of strings", all->at[i]);
        found = found || (possible && has_affix(s, all->at[i].text, at_end));
    }
    return *result = v_bool(found), true;
}

static bool str_startswith(struct render *r, struct call *c, struct value *result)
{
    return affix(r, c, false, result);
}
static bool str_endswith(struct render *r, struct call *c, struct value *result)
{
    return affix(r, c, true, result);
}

static bool remove_affix(struct render *r, struct call *c, bool at_end, struct value *result)
{
    struct str s = c->self.text;
    if (c->arg[0].kind != V_STR) return wants(r, c, "a string", c->arg[0]);
    size_t n = has_affix(s, c->arg[0].text, at_end) ? c->arg[0].text.length : 0;
    return *result = v_str(at_end ? str_slice(s, 0, s.length - n) : str_slice(s, n, s.length)), true;
}

static bool str_removeprefix(struct render *r, struct call *c, struct value *result)
{
    return remove_affix(r, c, false, result);
}
static bool str_removesuffix(struct render *r, struct call *c, struct value *result)
{
    return remove_affix(r, c, true, result);
}

static bool str_rfind_bytes(struct str s, struct str part, size_t *at)
{
    if (part.length > s.length) return false;
    for (*at = s.length - part.length;; --*at) {
        if (has_affix(str_slice(s, *at, s.length), part, false)) return true;
        if (!*at) return false;
    }
}

/* find, index and their mirror images: the character's number, or -1, or an error. */
static bool find(struct render *r, struct call *c, bool last, bool must, struct value *result)
{
    struct str s;
    size_t at = 0, offset;
    bool possible;
    if (c->arg[0].kind != V_STR) return wants(r, c, "a string", c->arg[0]);
    if (!work_bytes(r, c->self.text.length * (last ? 64 : 1)) || !search_range(r, c, &s, &offset, &possible))
        return false;
    bool found = possible && (last ? str_rfind_bytes(s, c->arg[0].text, &at) : str_find(s, c->arg[0].text, 0, &at));
    if (!found && must) return host_fail(&r->host, LORAC_FORMAT, "substring not found");
    if (found && !s.length) at = 0;
    *result = v_int(found ? (int64_t)str_characters(str_slice(c->self.text, 0, offset + at)) : -1);
    return true;
}

static bool str_find_method(struct render *r, struct call *c, struct value *result)
{
    return find(r, c, false, false, result);
}
static bool str_rfind(struct render *r, struct call *c, struct value *result)
{
    return find(r, c, true, false, result);
}
static bool str_index(struct render *r, struct call *c, struct value *result)
{
    return find(r, c, false, true, result);
}
static bool str_rindex(struct render *r, struct call *c, struct value *result)
{
    return find(r, c, true, true, result);
}

static bool str_count(struct render *r, struct call *c, struct value *result)
{
    struct str s, part = c->arg[0].text;
    size_t at, offset;
    bool possible;
    int64_t count = 0;
    if (c->arg[0].kind != V_STR) return wants(r, c, "a string", c->arg[0]);
    if (!work_bytes(r, c->self.text.length) || !search_range(r, c, &s, &offset, &possible)) return false;
    if (!part.length) return *result = v_int(possible ? (int64_t)str_characters(s) + 1 : 0), true;
    for (size_t from = 0; str_find(s, part, from, &at); from = at + part.length) count++;
    return *result = v_int(count), true;
}

bool replace_text(struct render *r, struct str s, struct str old, struct str new, int64_t count, struct value *result)
{
    struct text t = builder(r);
    size_t from = 0, at = 0;
    for (; count && str_find(s, old, at, &at); count--) {
        text_add(&t, s.at + from, at - from);
        text_add(&t, new.at, new.length);
        from = at + old.length;
        if (!old.length) { /* before every character and at the end */
            if (at == s.length) break;
            str_next(s, &at);
        } else {
            at = from;
        }
        if (t.length > OUTPUT_LIMIT)
            return text_free(&t), host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    }
    if (from < s.length) text_add(&t, s.at + from, s.length - from);
    return builder_end(r, &t, result) && work_bytes(r, s.length);
}

static bool str_replace(struct render *r, struct call *c, struct value *result)
{
    struct value count = c->arg[2];
    if (c->arg[0].kind != V_STR || c->arg[1].kind != V_STR)
        return wants(r, c, "strings", c->arg[c->arg[0].kind == V_STR]);
    if (count.kind != V_ABSENT && !is_integer(count)) return wants(r, c, "an integer", count);
    return replace_text(r, c->self.text, c->arg[0].text, c->arg[1].text,
                        count.kind == V_ABSENT ? -1 : integer_of(count), result);
}

/* ---- str: lists -------------------------------------------------------------------------- */

static bool add_part(struct render *r, struct list *parts, struct str part)
{
    struct str *p = list_add(parts);
    if (!p) return host_fail(&r->host, LORAC_OUT_OF_MEMORY, "no memory for the parts of a string");
    *p = part;
    return work(r, 1);
}

/* Ends the list of parts; `backwards` if they were found from the end. */
static bool parts_end(struct render *r, struct list *parts, bool backwards, struct value *result)
{
    struct items *items = r->host.status ? NULL : items_new(r, parts->count);
    for (size_t i = 0; items && i < items->count; i++)
        items->at[i] = v_str(((struct str *)parts->items)[backwards ? items->count - 1 - i : i]);
    list_free(parts);
    return items && (*result = v_items(V_LIST, items), true);
}

static void split_space(struct render *r, struct list *parts, struct str s, int64_t most)
{
    s = str_strip(s, NULL, true, false);
    while (s.length && most--) {
        size_t end = 0, next = 0;
        while (end < s.length && !is_space(str_next(s, &next))) end = next;
        if (!add_part(r, parts, str_slice(s, 0, end))) return;
        s = str_strip(str_slice(s, end, s.length), NULL, true, false);
    }
    if (s.length) add_part(r, parts, s);
}

static void rsplit_space(struct render *r, struct list *parts, struct str s, int64_t most)
{
    s = str_strip(s, NULL, false, true);
    while (s.length && most--) {
        size_t end = 0;
        for (size_t next = 0; next < s.length;)
            if (is_space(str_next(s, &next))) end = next;
        if (!work_bytes(r, s.length * 8) || !add_part(r, parts, str_slice(s, end, s.length))) return;
        s = str_strip(str_slice(s, 0, end), NULL, false, true);
    }
    if (s.length) add_part(r, parts, s);
}

static void split_at(struct render *r, struct list *parts, struct str s, struct str by, int64_t most)
{
    size_t from = 0, at;
    for (; most-- && str_find(s, by, from, &at); from = at + by.length)
        if (!add_part(r, parts, str_slice(s, from, at))) return;
    add_part(r, parts, str_slice(s, from, s.length));
}

static void rsplit_at(struct render *r, struct list *parts, struct str s, struct str by, int64_t most)
{
    size_t at;
    for (; most-- && work_bytes(r, s.length) && str_rfind_bytes(s, by, &at); s = str_slice(s, 0, at))
        if (!add_part(r, parts, str_slice(s, at + by.length, s.length))) return;
    add_part(r, parts, s);
}

static bool split(struct render *r, struct call *c, bool backwards, struct value *result)
{
    struct value by = c->arg[0];
    struct str s = c->self.text;
    struct list parts = {.memory = r->host.arena.memory, .size = sizeof(struct str)};
    if (c->arg[1].kind != V_ABSENT && !is_integer(c->arg[1])) return wants(r, c, "an integer", c->arg[1]);
    int64_t most = c->arg[1].kind == V_ABSENT ? -1 : integer_of(c->arg[1]);
    if (!work_bytes(r, s.length)) return false;
    if (by.kind == V_ABSENT || by.kind == V_NONE) {
        (backwards ? rsplit_space : split_space)(r, &parts, s, most);
    } else {
        if (by.kind != V_STR) return wants(r, c, "a string", by);
        if (!by.text.length) return host_fail(&r->host, LORAC_FORMAT, "empty separator");
        (backwards ? rsplit_at : split_at)(r, &parts, s, by.text, most);
    }
    return parts_end(r, &parts, backwards, result);
}

static bool str_split(struct render *r, struct call *c, struct value *result)
{
    return split(r, c, false, result);
}
static bool str_rsplit(struct render *r, struct call *c, struct value *result)
{
    return split(r, c, true, result);
}

static bool str_splitlines(struct render *r, struct call *c, struct value *result)
{
    struct str s = c->self.text;
    struct list parts = {.memory = r->host.arena.memory, .size = sizeof(struct str)};
    for (size_t at = 0, next; at < s.length; at = next) {
        size_t end = str_line(s, at, &next);
        if (!add_part(r, &parts, str_slice(s, at, truth(c->arg[0]) ? next : end))) break;
    }
    return parts_end(r, &parts, false, result);
}

/* (before, separator, after); without the separator the whole stands at one end. */
static bool partition(struct render *r, struct call *c, bool last, struct value *result)
{
    struct str s = c->self.text, by = c->arg[0].text;
    size_t at = 0;
    if (c->arg[0].kind != V_STR) return wants(r, c, "a string", c->arg[0]);
    if (!by.length) return host_fail(&r->host, LORAC_FORMAT, "empty separator");
    if (!work_bytes(r, s.length)) return false;
    bool found = last ? str_rfind_bytes(s, by, &at) : str_find(s, by, 0, &at);
    struct items *items = items_new(r, 3);
    if (!items) return false;
    for (int i = 0; i < 3; i++) items->at[i] = v_str(STR(""));
    if (found) {
        items->at[0] = v_str(str_slice(s, 0, at));
        items->at[1] = v_str(by);
        items->at[2] = v_str(str_slice(s, at + by.length, s.length));
    } else {
        items->at[last ? 2 : 0] = v_str(s);
    }
    return *result = v_items(V_TUPLE, items), true;
}

static bool str_partition(struct render *r, struct call *c, struct value *result)
{
    return partition(r, c, false, result);
}
static bool str_rpartition(struct render *r, struct call *c, struct value *result)
{
    return partition(r, c, true, result);
}

static bool str_join(struct render *r, struct call *c, struct value *result)
{
    struct items *items;
    if (!iterate(r, c->arg[0], &items)) return false;
    struct text t = builder(r);
    for (size_t i = 0; i < items->count; i++) {
        if (items->at[i].kind != V_STR) {
            text_free(&t);
            return host_fail(&r->host, LORAC_FORMAT, "sequence item %zu: expected str instance, %s found", i,
                             type_name(items->at[i]));
        }
        if (i) text_add(&t, c->self.text.at, c->self.text.length);
        text_add(&t, items->at[i].text.at, items->at[i].text.length);
        if (t.length > OUTPUT_LIMIT)
            return text_free(&t), host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    }
    return builder_end(r, &t, result);
}

static const struct function methods[] = {
    {"split", str_split, 0, "sep maxsplit"},
    {"rsplit", str_rsplit, 0, "sep maxsplit"},
    {"splitlines", str_splitlines, 0, "keepends"},
    {"partition", str_partition, 1, "/sep"},
    {"rpartition", str_rpartition, 1, "/sep"},
    {"startswith", str_startswith, 1, "/prefix start end"},
    {"endswith", str_endswith, 1, "/suffix start end"},
    {"removeprefix", str_removeprefix, 1, "/prefix"},
    {"removesuffix", str_removesuffix, 1, "/suffix"},
    {"replace", str_replace, 2, "/old new count"},
    {"join", str_join, 1, "/iterable"},
    {"find", str_find_method, 1, "/sub start end"},
    {"rfind", str_rfind, 1, "/sub start end"},
    {"index", str_index, 1, "/sub start end"},
    {"rindex", str_rindex, 1, "/sub start end"},
    {"count", str_count, 1, "/sub start end"},
};

const struct function *find_str_part_method(struct str name)
{
    return find_function(methods, sizeof methods / sizeof *methods, name);
}
