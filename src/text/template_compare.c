/* template_compare.c — truth, equality, order, membership, length and iteration, as Python defines them. */
#include "text/template_impl.h"

static bool uncomparable(struct render *r, struct value a, struct value b)
{
    return host_fail(&r->host, LORAC_FORMAT, "'%s' and '%s' have no order", type_name(a), type_name(b));
}

bool truth(struct value v)
{
    switch (v.kind) {
    case V_ABSENT:
    case V_UNDEFINED:
    case V_NONE:
        return false;
    case V_BOOL:
        return v.boolean;
    case V_INT:
        return v.integer != 0;
    case V_FLOAT:
        return v.real != 0;
    case V_STR:
        return v.text.length;
    case V_LIST:
    case V_TUPLE:
    case V_VIEW:
        return v.items->count;
    case V_RANGE:
        return v.range->count;
    case V_DICT:
        return v.dict->count;
    default:
        return true;
    }
}

static bool is_sequence(enum value_kind kind)
{
    return kind == V_LIST || kind == V_TUPLE;
}

/* -1, 0, 1; 2 if one is no number. */
static int number_order(struct value a, struct value b)
{
    if (is_integer(a) && is_integer(b)) return (integer_of(a) > integer_of(b)) - (integer_of(a) < integer_of(b));
    if (a.kind == V_FLOAT && is_integer(b)) return -number_order(b, a) == -2 ? 2 : -number_order(b, a);
    double x = real_of(a), y = real_of(b);
    if (x != x || y != y) return 2;
    if (is_integer(a) && x == y && y < 0x1p63) { /* the conversion may have rounded */
        int64_t exact = (int64_t)y;
        return (integer_of(a) > exact) - (integer_of(a) < exact);
    }
    return (x > y) - (x < y);
}

static bool items_equal(struct render *r, const struct items *a, const struct items *b, bool *result)
{
    *result = a->count == b->count;
    for (size_t i = 0; *result && i < a->count; i++)
        if (!equal(r, a->at[i], b->at[i], result)) return false;
    return true;
}

static bool dicts_equal(struct render *r, const struct dict *a, const struct dict *b, bool *result)
{
    *result = a->count == b->count;
    for (size_t i = 0; *result && i < a->count; i++) {
        struct value other;
        if (!dict_get(r, b, a->at[i].key, &other, result)) return false;
        if (*result && !equal(r, a->at[i].value, other, result)) return false;
    }
    return true;
}

static bool equal_inside(struct render *r, struct value a, struct value b, bool *result)
{
    if (is_number(a) && is_number(b)) return *result = number_order(a, b) == 0, true;
    *result = false;
    if (a.kind != b.kind) return true;
    switch (a.kind) {
    case V_UNDEFINED:
    case V_NONE:
        return *result = true;
    case V_STR:
        return *result = str_equal(a.text, b.text), work_bytes(r, a.text.length);
    case V_LIST:
    case V_TUPLE:
        return items_equal(r, a.items, b.items, result);
    case V_DICT:
        return dicts_equal(r, a.dict, b.dict, result);
    case V_RANGE:
        *result = a.range->count == b.range->count &&
                  (!a.range->count ||
                   (a.range->start == b.range->start && (a.range->count == 1 || a.range->step == b.range->step)));
        return true;
    case V_FUNCTION:
        return *result = a.bound->function == b.bound->function, true;
    default:
        return *result = a.items == b.items, true; /* the same object */
    }
}

bool equal(struct render *r, struct value a, struct value b, bool *result)
{
    if (!work(r, 1)) return false;
    if (r->depth >= EVAL_DEPTH + VALUE_DEPTH)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "values nest too deep to be compared");
    r->depth++;
    bool ok = equal_inside(r, a, b, result);
    r->depth--;
    return ok;
}

static bool items_less(struct render *r, const struct items *a, const struct items *b, bool *result)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        bool same;
        if (!equal(r, a->at[i], b->at[i], &same)) return false;
        if (!same) return less(r, a->at[i], b->at[i], result);
    }
    *result = a->count < b->count;
    return true;
}

bool less(struct render *r, struct value a, struct value b, bool *result)
{
    if (!work(r, 1)) return false;
    if (is_number(a) && is_number(b)) return *result = number_order(a, b) == -1, true;
    if (a.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(a.text));
    if (b.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(b.text));
    if (a.kind != b.kind) return uncomparable(r, a, b);
    if (a.kind == V_STR) return *result = str_compare(a.text, b.text) < 0, work_bytes(r, a.text.length);
    if (!is_sequence(a.kind)) return uncomparable(r, a, b);
    if (r->depth >= EVAL_DEPTH + VALUE_DEPTH)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "values nest too deep to be compared");
    r->depth++;
    bool ok = items_less(r, a.items, b.items, result);
    r->depth--;
    return ok;
}

static bool compare_order(struct render *r, enum operator op, struct value a, struct value b, bool *result)
{
    bool same, swap = op == OP_GT || op == OP_GE;
    if (is_number(a) && is_number(b)) { /* nothing is true of NaN */
        int order = number_order(a, b);
        *result = order == 2    ? false
                  : op == OP_LT ? order < 0
                  : op == OP_LE ? order <= 0
                  : op == OP_GT ? order > 0
                                : order >= 0;
        return true;
    }
    if (!(swap ? less(r, b, a, result) : less(r, a, b, result))) return false;
    if (op == OP_LT || op == OP_GT || *result) return true;
    if (!equal(r, a, b, &same)) return false;
    *result = same;
    return true;
}

bool compare(struct render *r, enum operator op, struct value a, struct value b, bool *result)
{
    bool ok;
    switch (op) {
    case OP_EQ:
        return equal(r, a, b, result);
    case OP_NE:
        ok = equal(r, a, b, result);
        break;
    case OP_IN:
        return contains(r, b, a, result);
    case OP_NOT_IN:
        ok = contains(r, b, a, result);
        break;
    default:
        return compare_order(r, op, a, b, result);
    }
    *result = ok && !*result;
    return ok;
}

static bool items_hashable(const struct items *items)
{
    for (size_t i = 0; i < items->count; i++)
        if (!is_hashable(items->at[i])) return false;
    return true;
}

bool is_hashable(struct value v)
{
    return v.kind == V_TUPLE ? items_hashable(v.items)
                             : v.kind != V_LIST && v.kind != V_DICT &&
                                   (v.kind != V_VIEW || str_is(STR("dict_values"), v.items->type));
}

bool contains(struct render *r, struct value container, struct value v, bool *result)
{
    size_t at;
    *result = false;
    if (container.kind == V_STR) {
        if (v.kind != V_STR)
            return host_fail(&r->host, LORAC_FORMAT, "'in <string>' requires a string, not %s", type_name(v));
        *result = str_find(container.text, v.text, 0, &at);
        return work_bytes(r, container.text.length);
    }
    if (container.kind == V_DICT) {
        struct value ignored;
        if (!is_hashable(v)) return host_fail(&r->host, LORAC_FORMAT, "unhashable type: '%s'", type_name(v));
        return dict_get(r, container.dict, v, &ignored, result);
    }
    struct items *items;
    if (!iterate(r, container, &items)) return false;
    for (size_t i = 0; i < items->count; i++) {
        if (!equal(r, items->at[i], v, result)) return false;
        if (*result) return true;
    }
    return true;
}

bool length_of(struct render *r, struct value v, size_t *length)
{
    switch (v.kind) {
    case V_UNDEFINED:
        return *length = 0, true;
    case V_STR:
        return *length = str_characters(v.text), work_bytes(r, v.text.length);
    case V_LIST:
    case V_TUPLE:
    case V_VIEW:
        return *length = v.items->count, true;
    case V_RANGE:
        return *length = v.range->count, true;
    case V_DICT:
        return *length = v.dict->count, true;
    case V_LOOP:
        return *length = v.loop->items->count, true;
    default:
        return host_fail(&r->host, LORAC_FORMAT, "object of type '%s' has no length", type_name(v));
    }
}

static bool iterate_text(struct render *r, struct str s, struct items *items)
{
    for (size_t i = 0, at = 0; i < items->count; i++) {
        size_t from = at;
        str_next(s, &at);
        items->at[i] = v_str(str_slice(s, from, at));
    }
    return true;
}

bool is_iterable(struct value v)
{
    return v.kind >= V_STR && v.kind <= V_DICT ? true : v.kind == V_UNDEFINED;
}

/* What a for loop would go through. The items of a list are its own: they must not be changed. */
bool iterate(struct render *r, struct value v, struct items **items)
{
    if (v.kind == V_LIST || v.kind == V_TUPLE || v.kind == V_VIEW) return *items = v.items, true;
    if (!is_iterable(v)) return host_fail(&r->host, LORAC_FORMAT, "'%s' object is not iterable", type_name(v));
    size_t count = 0;
    if (v.kind == V_ITERATOR)
        count = v.items->count - v.items->next;
    else if (!length_of(r, v, &count))
        return false;
    if (!(*items = items_new(r, count))) return false;
    if (v.kind == V_STR) return iterate_text(r, v.text, *items);
    for (size_t i = 0; i < count; i++) {
        if (v.kind == V_RANGE) (*items)->at[i] = v_int(v.range->start + (int64_t)i * v.range->step);
        if (v.kind == V_DICT) (*items)->at[i] = v.dict->at[i].key;
        if (v.kind == V_ITERATOR) (*items)->at[i] = v.items->at[v.items->next++];
    }
    return true;
}
