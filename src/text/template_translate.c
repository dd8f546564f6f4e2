/* template_translate.c — str.maketrans and str.translate: characters replaced by a table. */
#include "text/template_impl.h"

/* ---- maketrans --------------------------------------------------------------------------- */

/* A key of one character becomes its number. */
static bool number_key(struct render *r, const struct call *c, struct value key, struct value *number)
{
    size_t at = 0;
    if (is_integer(key)) return *number = key, true;
    if (key.kind != V_STR) return wants(r, c, "strings or integers as keys", key);
    if (str_characters(key.text) != 1)
        return host_fail(&r->host, LORAC_FORMAT, "maketrans takes keys of one character");
    return *number = v_int(str_next(key.text, &at)), true;
}

static bool table_of_dict(struct render *r, const struct call *c, struct dict *table)
{
    if (c->arg[0].kind != V_DICT) return wants(r, c, "a dict if it has one argument", c->arg[0]);
    const struct dict *d = c->arg[0].dict;
    for (size_t i = 0; i < d->count; i++) {
        struct value key;
        if (!number_key(r, c, d->at[i].key, &key) || !dict_set(r, table, key, d->at[i].value)) return false;
    }
    return true;
}

/* Characters of the first string become those of the second; those of the third go. */
static bool table_of_strings(struct render *r, const struct call *c, struct dict *table)
{
    struct str from = c->arg[0].text, to = c->arg[1].text, gone = c->arg[2].text;
    for (int i = 0; i < 3; i++)
        if (c->arg[i].kind != V_STR && !(i == 2 && c->arg[i].kind == V_ABSENT))
            return wants(r, c, "strings if it has several arguments", c->arg[i]);
    if (str_characters(from) != str_characters(to))
        return host_fail(&r->host, LORAC_FORMAT, "maketrans takes two strings of equal length");
    for (size_t i = 0, j = 0; i < from.length;) {
        struct value key = v_int(str_next(from, &i));
        if (!dict_set(r, table, key, v_int(str_next(to, &j)))) return false;
    }
    for (size_t i = 0; c->arg[2].kind == V_STR && i < gone.length;)
        if (!dict_set(r, table, v_int(str_next(gone, &i)), v_none())) return false;
    return true;
}

static bool str_maketrans(struct render *r, struct call *c, struct value *result)
{
    struct dict *table = dict_new(r, 0);
    *result = (struct value){.kind = V_DICT, .dict = table};
    return table && (c->arg[1].kind == V_ABSENT ? table_of_dict : table_of_strings)(r, c, table);
}

/* ---- translate --------------------------------------------------------------------------- */

/* What a table says of a character; *found: it says something. */
static bool look_up(struct render *r, const struct call *c, struct value table, uint32_t code, struct value *to,
                    bool *found)
{
    size_t count;
    if (table.kind == V_DICT) return dict_get(r, table.dict, v_int(code), to, found);
    if (table.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(table.text));
    if (table.kind != V_STR && table.kind != V_LIST && table.kind != V_TUPLE && table.kind != V_RANGE)
        return wants(r, c, "a table", table);
    if (!length_of(r, table, &count)) return false;
    return !(*found = code < count) || get_item(r, table, v_int(code), to);
}

static bool add_replacement(struct render *r, const struct call *c, struct text *t, struct value to)
{
    char bytes[4];
    if (to.kind == V_NONE) return true;
    if (to.kind == V_STR) return text_add(t, to.text.at, to.text.length), true;
    if (!is_integer(to)) return wants(r, c, "a table of integers, strings and none", to);
    int64_t code = integer_of(to);
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return host_fail(&r->host, LORAC_FORMAT, "%lld is no character", (long long)code);
    return text_add(t, bytes, utf8_encode((uint32_t)code, bytes)), true;
}

static bool str_translate(struct render *r, struct call *c, struct value *result)
{
    struct str s = c->self.text;
    struct text t = builder(r);
    for (size_t at = 0, from = 0; at < s.length && t.length <= OUTPUT_LIMIT && work(r, 1); from = at) {
        struct value to;
        bool found;
        if (!look_up(r, c, c->arg[0], str_next(s, &at), &to, &found)) break;
        if (!found)
            text_add(&t, s.at + from, at - from);
        else if (!add_replacement(r, c, &t, to))
            break;
    }
    if (t.length > OUTPUT_LIMIT) host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    return builder_end(r, &t, result);
}

static const struct function methods[] = {
    {"maketrans", str_maketrans, 1, "/x y z"},
    {"translate", str_translate, 1, "/table"},
};

const struct function *find_str_table_method(struct str name)
{
    return find_function(methods, sizeof methods / sizeof *methods, name);
}
