/* template_sequence.c — filters on sequences and mappings. What is a generator in the reference passes once. */
#include "text/template_impl.h"

#include <string.h>

static struct str argument_text(struct value v)
{
    return v.kind == V_STR ? v.text : (struct str){"", 0};
}

/* ---- one result -------------------------------------------------------------------------- */

static bool filter_length(struct render *r, struct call *c, struct value *result)
{
    size_t length;
    return length_of(r, c->self, &length) && (*result = v_int((int64_t)length), true);
}

static bool filter_first(struct render *r, struct call *c, struct value *result)
{
    struct items *items;
    if (c->self.kind == V_ITERATOR && c->self.items->next < c->self.items->count)
        return *result = c->self.items->at[c->self.items->next++], true;
    if (!iterate(r, c->self, &items)) return false;
    if (!items->count) return v_undefined(r, result, "No first item, sequence was empty.");
    return *result = items->at[0], true;
}

static bool filter_last(struct render *r, struct call *c, struct value *result)
{
    struct items *items;
    if (c->self.kind == V_ITERATOR)
        return host_fail(&r->host, LORAC_FORMAT, "a generator has no last item (use '| list' first)");
    if (!iterate(r, c->self, &items)) return false;
    if (!items->count) return v_undefined(r, result, "No last item, sequence was empty.");
    return *result = items->at[items->count - 1], true;
}

static bool filter_list(struct render *r, struct call *c, struct value *result)
{
    struct items *items, *copy;
    if (!iterate(r, c->self, &items) || !(copy = items_new(r, items->count))) return false;
    if (items->count) memcpy(copy->at, items->at, items->count * sizeof *copy->at);
    return *result = v_items(V_LIST, copy), true;
}

static bool filter_join(struct render *r, struct call *c, struct value *result)
{
    struct items *items;
    struct str glue = {"", 0};
    if ((c->arg[0].kind != V_ABSENT && !to_str(r, c->arg[0], &glue)) || !iterate(r, c->self, &items)) return false;
    struct text t = builder(r);
    for (size_t i = 0; i < items->count; i++) {
        struct value v = items->at[i];
        if (c->arg[1].kind > V_NONE && !get_path(r, v, c->arg[1], v_absent(), &v)) break;
        if (i) text_add(&t, glue.at, glue.length);
        if (!print_str(r, &t, v)) break;
    }
    return builder_end(r, &t, result);
}

static bool filter_sum(struct render *r, struct call *c, struct value *result)
{
    struct items *items;
    *result = c->arg[1].kind == V_ABSENT ? v_int(0) : c->arg[1];
    if (result->kind == V_STR) return host_fail(&r->host, LORAC_FORMAT, "sum cannot add strings (use join)");
    if (!iterate(r, c->self, &items)) return false;
    for (size_t i = 0; i < items->count; i++) {
        struct value v = items->at[i];
        if (c->arg[0].kind > V_NONE && !get_path(r, v, c->arg[0], v_absent(), &v)) return false;
        if (!operate(r, OP_ADD, *result, v, result)) return false;
    }
    return true;
}

/* ---- order ------------------------------------------------------------------------------- */

struct keyed {
    struct value key, item;
};

/* What an item is sorted by: itself or an attribute, in small letters unless case matters. */
static bool sort_key(struct render *r, struct value item, struct value path, bool case_matters, struct value *key)
{
    *key = item;
    if (path.kind > V_NONE && !get_path(r, item, path, v_absent(), key)) return false;
    if (case_matters || key->kind != V_STR) return true;
    struct text t = builder(r);
    print_case(&t, key->text, CASE_LOWER);
    return builder_end(r, &t, key);
}

/* What groupby groups by; an attribute that is missing counts as the default. */
static bool group_key(struct render *r, const struct call *c, struct value item, bool case_matters, struct value *key)
{
    if (!get_path(r, item, c->arg[0], c->arg[1], key)) return false;
    return case_matters || sort_key(r, *key, v_none(), false, key);
}

/* What |sort sorts by: "a,b" is two keys. They are a list even where there is one: equal ones need no order. */
static bool sort_keys(struct render *r, struct value item, struct value path, bool case_matters, struct value *key)
{
    size_t at = 0, count = 1;
    for (size_t i = 0; path.kind == V_STR && i < path.text.length; i++) count += path.text.at[i] == ',';
    struct items *keys = items_new(r, count);
    if (!keys) return false;
    for (size_t i = 0, from = 0; i < count; i++, from = at + 1) {
        struct value part = path;
        if (path.kind == V_STR && !str_find(path.text, STR(","), from, &at)) at = path.text.length;
        if (path.kind == V_STR) part = v_str(str_slice(path.text, from, at));
        if (!sort_key(r, item, part, case_matters, &keys->at[i])) return false;
    }
    return *key = v_items(V_LIST, keys), true;
}

/* Merges the sorted halves of `a` (count, middle) through `spare`; equal keys keep their order, reversed or not. */
static bool merge(struct render *r, struct keyed *a, size_t middle, size_t count, struct keyed *spare, bool down)
{
    size_t left = 0, right = middle;
    for (size_t i = 0; i < count; i++) {
        bool take_right = left == middle;
        if (!take_right && right < count) {
            struct value x = a[right].key, y = a[left].key;
            if (!(down ? less(r, y, x, &take_right) : less(r, x, y, &take_right))) return false;
        }
        spare[i] = a[take_right ? right++ : left++];
    }
    memcpy(a, spare, count * sizeof *a);
    return true;
}

static bool sort(struct render *r, struct keyed *a, size_t count, bool down)
{
    struct keyed *spare = host_array(&r->host, count, sizeof *spare);
    if (!spare) return false;
    for (size_t width = 1; width < count; width *= 2)
        for (size_t from = 0; from + width < count; from += 2 * width) {
            size_t n = count - from < 2 * width ? count - from : 2 * width;
            if (!merge(r, a + from, width, n, spare, down)) return false;
        }
    return true;
}

/* The sorted items of a sequence as a list; key_of is sort_key or sort_keys. */
static bool sorted(struct render *r, struct value v, struct value path, bool case_matters, bool down,
                   bool (*key_of)(struct render *, struct value, struct value, bool, struct value *),
                   struct value *result)
{
    struct items *items, *copy;
    if (!iterate(r, v, &items) || !(copy = items_new(r, items->count))) return false;
    struct keyed *a = host_array(&r->host, items->count, sizeof *a);
    if (!a) return false;
    for (size_t i = 0; i < items->count; i++) {
        a[i].item = items->at[i];
        if (!key_of(r, a[i].item, path, case_matters, &a[i].key)) return false;
    }
    if (!sort(r, a, items->count, down)) return false;
    for (size_t i = 0; i < items->count; i++) copy->at[i] = a[i].item;
    return *result = v_items(V_LIST, copy), true;
}

static bool filter_sort(struct render *r, struct call *c, struct value *result)
{
    return sorted(r, c->self, c->arg[2], truth(c->arg[1]), truth(c->arg[0]), sort_keys, result);
}

static bool dict_items(struct render *r, struct value v, struct items **items)
{
    if (v.kind != V_DICT)
        return host_fail(&r->host, LORAC_FORMAT, "Can only get item pairs from a mapping, not %s", type_name(v));
    if (!(*items = items_new(r, v.dict->count))) return false;
    for (size_t i = 0; i < v.dict->count; i++) {
        struct items *pair = items_new(r, 2);
        if (!pair) return false;
        pair->at[0] = v.dict->at[i].key;
        pair->at[1] = v.dict->at[i].value;
        (*items)->at[i] = v_items(V_TUPLE, pair);
    }
    return true;
}

static bool filter_dictsort(struct render *r, struct call *c, struct value *result)
{
    struct items *items;
    bool by_value = str_is(argument_text(c->arg[1]), "value");
    if (c->arg[1].kind != V_ABSENT && !by_value && !str_is(argument_text(c->arg[1]), "key"))
        return host_fail(&r->host, LORAC_FORMAT, "You can only sort by either \"key\" or \"value\"");
    return dict_items(r, c->self, &items) &&
           sorted(r, v_items(V_LIST, items), v_int(by_value), truth(c->arg[0]), truth(c->arg[2]), sort_key, result);
}

static bool extreme(struct render *r, struct call *c, bool largest, struct value *result)
{
    struct items *items;
    struct value best, key;
    if (!iterate(r, c->self, &items)) return false;
    if (!items->count) return v_undefined(r, result, "No aggregated item, sequence was empty.");
    for (size_t i = 0; i < items->count; i++) {
        bool better = true;
        if (!sort_key(r, items->at[i], c->arg[1], truth(c->arg[0]), &key)) return false;
        if (i && !(largest ? less(r, best, key, &better) : less(r, key, best, &better))) return false;
        if (!better) continue;
        best = key;
        *result = items->at[i];
    }
    return true;
}

static bool filter_min(struct render *r, struct call *c, struct value *result)
{
    return extreme(r, c, false, result);
}
static bool filter_max(struct render *r, struct call *c, struct value *result)
{
    return extreme(r, c, true, result);
}

/* ---- other sequences --------------------------------------------------------------------- */

static bool filter_items(struct render *r, struct call *c, struct value *result)
{
    struct items *items;
    bool empty = c->self.kind == V_UNDEFINED;
    if (empty ? !(items = items_new(r, 0)) : !dict_items(r, c->self, &items)) return false;
    return *result = v_items(V_ITERATOR, items), true;
}

static bool filter_reverse(struct render *r, struct call *c, struct value *result)
{
    static const struct value backwards[3] = {{0}, {0}, {.kind = V_INT, .integer = -1}};
    struct items *items, *copy;
    if (c->self.kind == V_STR) return get_slice(r, c->self, backwards, result);
    if (!iterate(r, c->self, &items) || !(copy = items_new(r, items->count))) return false;
    for (size_t i = 0; i < items->count; i++) copy->at[i] = items->at[items->count - 1 - i];
    return *result = v_items(c->self.kind == V_ITERATOR ? V_LIST : V_ITERATOR, copy), true;
}

static bool filter_unique(struct render *r, struct call *c, struct value *result)
{
    struct items *items, *kept;
    if (!iterate(r, c->self, &items) || !(kept = items_new(r, items->count))) return false;
    struct dict *seen = dict_new(r, 8);
    kept->count = 0;
    for (size_t i = 0; seen && i < items->count; i++) {
        struct value key;
        size_t before = seen->count;
        if (!sort_key(r, items->at[i], c->arg[1], truth(c->arg[0]), &key) || !dict_set(r, seen, key, v_none()))
            return false;
        if (seen->count > before) kept->at[kept->count++] = items->at[i];
    }
    return seen && (*result = v_items(V_ITERATOR, kept), true);
}

static bool filter_batch(struct render *r, struct call *c, struct value *result)
{
    struct items *items, *rows, *row;
    if (c->arg[0].kind != V_INT || c->arg[0].integer < 1)
        return host_fail(&r->host, LORAC_FORMAT, "batch takes a positive integer");
    size_t size = (size_t)c->arg[0].integer;
    if (!iterate(r, c->self, &items) || !(rows = items_new(r, items->count ? (items->count - 1) / size + 1 : 0)))
        return false;
    for (size_t i = 0; i < rows->count; i++) {
        size_t from = i * size, have = items->count - from < size ? items->count - from : size;
        if (!(row = items_new(r, c->arg[1].kind > V_NONE ? size : have))) return false;
        for (size_t j = 0; j < row->count; j++) row->at[j] = j < have ? items->at[from + j] : c->arg[1];
        rows->at[i] = v_items(V_LIST, row);
    }
    return *result = v_items(V_ITERATOR, rows), true;
}

/* slice(n): n lists as even as they can be, the longer ones first. */
static bool filter_slice(struct render *r, struct call *c, struct value *result)
{
    struct items *items, *rows, *row;
    if (c->arg[0].kind != V_INT || c->arg[0].integer < 1 || c->arg[0].integer > RANGE_LIMIT)
        return host_fail(&r->host, LORAC_FORMAT, "slice takes a positive integer");
    size_t count = (size_t)c->arg[0].integer;
    if (!iterate(r, c->self, &items) || !(rows = items_new(r, count))) return false;
    size_t each = items->count / count, longer = items->count % count, from = 0;
    for (size_t i = 0; i < count; i++) {
        size_t have = each + (i < longer);
        bool filled = c->arg[1].kind > V_NONE && i >= longer;
        if (!(row = items_new(r, have + filled))) return false;
        for (size_t j = 0; j < row->count; j++) row->at[j] = j < have ? items->at[from + j] : c->arg[1];
        from += have;
        rows->at[i] = v_items(V_LIST, row);
    }
    return *result = v_items(V_ITERATOR, rows), true;
}

static bool add_group(struct render *r, struct items *groups, struct value key, struct items *members)
{
    struct items *group = items_new(r, 2);
    if (!group) return false;
    group->at[0] = key;
    group->at[1] = v_items(V_LIST, members);
    group->type = GROUP;
    groups->at[groups->count++] = v_items(V_TUPLE, group);
    return true;
}

/* groupby(attribute): (grouper, list) for each value of an attribute, in order. */
static bool filter_groupby(struct render *r, struct call *c, struct value *result)
{
    struct items *items, *groups, *members = NULL;
    struct keyed *a;
    struct value key = {0};
    bool case_matters = truth(c->arg[2]), same = false;
    if (!iterate(r, c->self, &items) || !(groups = items_new(r, items->count))) return false;
    if (!(a = host_array(&r->host, items->count, sizeof *a))) return false;
    groups->count = 0;
    for (size_t i = 0; i < items->count; i++) {
        a[i].item = items->at[i];
        if (!group_key(r, c, a[i].item, case_matters, &a[i].key)) return false;
    }
    if (!sort(r, a, items->count, false)) return false;
    for (size_t i = 0; i < items->count; i++, key = a[i - 1].key) {
        if (i && !equal(r, key, a[i].key, &same)) return false;
        if (!same || !i) {
            if (!(members = items_new(r, items->count - i))) return false;
            members->count = 0;
            struct value shown = a[i].key;
            if (!case_matters && !group_key(r, c, a[i].item, true, &shown)) return false;
            if (!add_group(r, groups, shown, members)) return false;
        }
        members->at[members->count++] = a[i].item;
    }
    return *result = v_items(V_LIST, groups), true;
}

static const struct function filters[] = {
    {"length", filter_length, 0, ""},
    {"count", filter_length, 0, ""},
    {"first", filter_first, 0, ""},
    {"last", filter_last, 0, ""},
    {"list", filter_list, 0, ""},
    {"join", filter_join, 0, "d attribute"},
    {"sum", filter_sum, 0, "attribute start"},
    {"sort", filter_sort, 0, "reverse case_sensitive attribute"},
    {"dictsort", filter_dictsort, 0, "case_sensitive by reverse"},
    {"min", filter_min, 0, "case_sensitive attribute"},
    {"max", filter_max, 0, "case_sensitive attribute"},
    {"items", filter_items, 0, ""},
    {"reverse", filter_reverse, 0, ""},
    {"unique", filter_unique, 0, "case_sensitive attribute"},
    {"batch", filter_batch, 1, "linecount fill_with"},
    {"slice", filter_slice, 1, "slices fill_with"},
    {"groupby", filter_groupby, 1, "attribute default case_sensitive"},
};

const struct function *find_sequence_filter(struct str name)
{
    const struct function *f = find_function(filters, sizeof filters / sizeof *filters, name);
    return f ? f : find_select_filter(name);
}
