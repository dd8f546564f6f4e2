/* template_operate.c — arithmetic, attributes, items and slices, with Python's rules on 64-bit integers. */
#include "text/template_impl.h"

#include <math.h>
#include <string.h>

static bool no_operator(struct render *r, const char *sign, struct value a, struct value b)
{
    if (a.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(a.text));
    if (b.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(b.text));
    return host_fail(&r->host, LORAC_FORMAT, "'%s' and '%s' have no operator %s", type_name(a), type_name(b), sign);
}

static bool overflow(struct render *r)
{
    return host_fail(&r->host, LORAC_UNSUPPORTED, "an integer exceeds 64 bits");
}
static bool zero_division(struct render *r)
{
    return host_fail(&r->host, LORAC_FORMAT, "division by zero");
}

/* ---- numbers ----------------------------------------------------------------------------- */

static bool power_int(struct render *r, int64_t a, int64_t b, struct value *result)
{
    int64_t power = 1;
    for (; b; b >>= 1) {
        if (b & 1 && __builtin_mul_overflow(power, a, &power)) return overflow(r);
        if (b > 1 && __builtin_mul_overflow(a, a, &a)) return overflow(r);
    }
    return *result = v_int(power), true;
}

static bool operate_ints(struct render *r, enum operator op, int64_t a, int64_t b, struct value *result)
{
    int64_t v = 0;
    bool over = false;
    if (op == OP_FLOORDIV || op == OP_MOD) {
        if (!b) return zero_division(r);
        if (b == -1) { /* INT64_MIN / -1 traps */
            over = op == OP_FLOORDIV && __builtin_sub_overflow((int64_t)0, a, &v);
        } else {
            int64_t quotient = a / b, rest = a % b;
            bool down = rest && (rest < 0) != (b < 0); /* C truncates, Python floors */
            v = op == OP_MOD ? rest + (down ? b : 0) : quotient - down;
        }
    } else if (op == OP_POW) {
        return power_int(r, a, b, result);
    } else {
        over = op == OP_ADD   ? __builtin_add_overflow(a, b, &v)
               : op == OP_SUB ? __builtin_sub_overflow(a, b, &v)
                              : __builtin_mul_overflow(a, b, &v);
    }
    if (over) return overflow(r);
    return *result = v_int(v), true;
}

static double float_mod(double a, double b)
{
    double rest = fmod(a, b);
    if (rest == 0) return copysign(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

static double float_floordiv(double a, double b)
{
    double rest = fmod(a, b), quotient = (a - rest) / b;
    if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
    if (quotient == 0) return copysign(0, a / b);
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

static bool power_float(struct render *r, double a, double b, struct value *result)
{
    if (a == 0 && b < 0) return zero_division(r);
    if (a < 0 && isfinite(b) && b != floor(b))
        return host_fail(&r->host, LORAC_UNSUPPORTED, "the power is a complex number");
    double v = pow(a, b);
    if (isinf(v) && isfinite(a) && isfinite(b)) return host_fail(&r->host, LORAC_FORMAT, "the power is out of range");
    return *result = v_float(v), true;
}

static bool operate_numbers(struct render *r, enum operator op, struct value a, struct value b, struct value *result)
{
    bool negative_power = op == OP_POW && is_integer(b) && integer_of(b) < 0;
    if (is_integer(a) && is_integer(b) && op != OP_DIV && !negative_power)
        return operate_ints(r, op, integer_of(a), integer_of(b), result);
    double x = real_of(a), y = real_of(b);
    if (y == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD)) return zero_division(r);
    switch (op) {
    case OP_ADD:
        return *result = v_float(x + y), true;
    case OP_SUB:
        return *result = v_float(x - y), true;
    case OP_MUL:
        return *result = v_float(x * y), true;
    case OP_DIV:
        return *result = v_float(x / y), true;
    case OP_FLOORDIV:
        return *result = v_float(float_floordiv(x, y)), true;
    case OP_MOD:
        return *result = v_float(float_mod(x, y)), true;
    default:
        return power_float(r, x, y, result);
    }
}

bool negate(struct render *r, struct value v, bool minus, struct value *result)
{
    if (v.kind == V_FLOAT) return *result = minus ? v_float(-v.real) : v, true;
    if (v.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(v.text));
    if (!is_integer(v)) return host_fail(&r->host, LORAC_FORMAT, "'%s' has no sign", type_name(v));
    return operate_ints(r, minus ? OP_SUB : OP_ADD, 0, integer_of(v), result);
}

/* ---- sequences --------------------------------------------------------------------------- */

static bool add_text(struct render *r, struct value a, struct value b, struct value *result)
{
    bool safe = a.safe || b.safe;
    if (safe && (!escape_html(r, a, &a) || !escape_html(r, b, &b))) return false;
    *result = (struct value){.kind = V_STR, .safe = safe};
    return str_join2(r, a.text, b.text, &result->text);
}

static bool add_items(struct render *r, struct value a, struct value b, struct value *result)
{
    struct items *items = items_new(r, a.items->count + b.items->count);
    if (!items) return false;
    if (a.items->count) memcpy(items->at, a.items->at, a.items->count * sizeof *items->at);
    if (b.items->count) memcpy(items->at + a.items->count, b.items->at, b.items->count * sizeof *items->at);
    return *result = v_items(a.kind, items), true;
}

static bool repeat_text(struct render *r, struct str s, size_t times, struct value *result)
{
    size_t length;
    if (!size_mul(s.length, times, &length) || length > OUTPUT_LIMIT)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    char *copy = work_bytes(r, length) && work(r, s.length ? times / 8 : 0) ? host_take(&r->host, length + 1) : NULL;
    if (!copy) return false;
    for (size_t i = 0; s.length && i < times; i++) memcpy(copy + i * s.length, s.at, s.length);
    *result = v_str((struct str){copy, length});
    return true;
}

static bool repeat(struct render *r, struct value a, int64_t times, struct value *result)
{
    size_t n = times > 0 ? (size_t)times : 0, count;
    if (a.kind == V_STR) return repeat_text(r, a.text, n, result) && (result->safe = a.safe, true);
    if (!size_mul(a.items->count, n, &count)) count = SIZE_MAX;
    struct items *items = items_new(r, count);
    if (!items) return false;
    for (size_t i = 0; i < count; i++) items->at[i] = a.items->at[i % a.items->count];
    return *result = v_items(a.kind, items), true;
}

static bool repeats(struct value v)
{
    return v.kind == V_STR || v.kind == V_LIST || v.kind == V_TUPLE;
}

bool operate(struct render *r, enum operator op, struct value a, struct value b, struct value *result)
{
    static const char *const signs[] = {"", "+", "-", "*", "/", "//", "%", "**"};
    if (op == OP_MOD && a.kind == V_STR) return format_percent(r, a.text, b, result);
    if (is_number(a) && is_number(b)) return operate_numbers(r, op, a, b, result);
    if (op == OP_ADD && a.kind == V_STR && b.kind == V_STR) return add_text(r, a, b, result);
    if (op == OP_ADD && a.kind == b.kind && (a.kind == V_LIST || a.kind == V_TUPLE)) return add_items(r, a, b, result);
    if (op == OP_MUL && repeats(a) && is_integer(b)) return repeat(r, a, integer_of(b), result);
    if (op == OP_MUL && is_integer(a) && repeats(b)) return repeat(r, b, integer_of(a), result);
    return no_operator(r, signs[op], a, b);
}

/* ---- items and attributes ---------------------------------------------------------------- */

/* A position from the end if negative; false: outside. */
static bool place(struct value key, size_t count, size_t *at)
{
    int64_t i = integer_of(key);
    if (i < 0) i += (int64_t)count;
    *at = (size_t)i;
    return i >= 0 && (size_t)i < count;
}

static bool text_item(struct render *r, struct str s, struct value key, struct value *result, bool *found)
{
    size_t at, next;
    if (!work_bytes(r, s.length) || !(*found = place(key, str_characters(s), &at))) return !r->host.status;
    next = at = str_offset(s, at);
    str_next(s, &next);
    return *result = v_str(str_slice(s, at, next)), true;
}

static bool find_item(struct render *r, struct value object, struct value key, struct value *result, bool *found)
{
    size_t at;
    *found = false;
    if (object.kind == V_DICT) return !is_hashable(key) || dict_get(r, object.dict, key, result, found);
    if (!is_integer(key)) return true;
    if (object.kind == V_STR) {
        if (!text_item(r, object.text, key, result, found)) return false;
        result->safe = *found && object.safe;
        return true;
    }
    if (object.kind == V_LIST || object.kind == V_TUPLE) {
        if ((*found = place(key, object.items->count, &at))) *result = object.items->at[at];
    } else if (object.kind == V_RANGE) {
        if ((*found = place(key, object.range->count, &at)))
            *result = v_int(object.range->start + (int64_t)at * object.range->step);
    }
    return true;
}

static bool loop_attribute(struct render *r, const struct loop *l, struct str name, struct value *result, bool *found)
{
    size_t count = l->items->count, i = l->index;
    *found = true;
    if (str_is(name, "index")) return *result = v_int((int64_t)i + 1), true;
    if (str_is(name, "index0")) return *result = v_int((int64_t)i), true;
    if (str_is(name, "revindex")) return *result = v_int((int64_t)(count - i)), true;
    if (str_is(name, "revindex0")) return *result = v_int((int64_t)(count - i) - 1), true;
    if (str_is(name, "first")) return *result = v_bool(!i), true;
    if (str_is(name, "last")) return *result = v_bool(i + 1 == count), true;
    if (str_is(name, "length")) return *result = v_int((int64_t)count), true;
    if (str_is(name, "depth")) return *result = v_int(l->depth + 1), true;
    if (str_is(name, "depth0")) return *result = v_int(l->depth), true;
    if (str_is(name, "previtem")) {
        if (!i) return v_undefined(r, result, "there is no previous item");
        return *result = l->items->at[i - 1], true;
    }
    if (str_is(name, "nextitem")) {
        if (i + 1 >= count) return v_undefined(r, result, "there is no next item");
        return *result = l->items->at[i + 1], true;
    }
    return *found = false, true;
}

static bool macro_attribute(struct render *r, const struct macro *m, struct str name, struct value *result, bool *found)
{
    *found = str_is(name, "name");
    if (*found) *result = m->node->text.length ? v_str(m->node->text) : v_none();
    return true;
}

static bool find_attribute(struct render *r, struct value object, struct str name, struct value *result, bool *found)
{
    *found = false;
    if (object.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(object.text));
    if (object.kind == V_NAMESPACE) return dict_get_name(r, object.dict, name, result, found);
    if (object.kind == V_TUPLE && object.items->type) {
        *found = str_is(name, "grouper") || str_is(name, "list");
        if (*found) *result = object.items->at[str_is(name, "list")];
        return true;
    }
    if (object.kind == V_FUNCTION) return find_function_method(r, object, name, result, found);
    if (object.kind == V_MACRO) return macro_attribute(r, object.macro, name, result, found);
    if (object.kind == V_LOOP && (!loop_attribute(r, object.loop, name, result, found) || *found))
        return !r->host.status;
    return find_method(r, object, name, result, found);
}

static bool no_attribute(struct render *r, struct value object, struct str name, struct value *result)
{
    if (object.kind == V_NONE) return v_undefined(r, result, "'None' has no attribute '%.*s'", STR_ARG(name));
    return v_undefined(r, result, "'%s object' has no attribute '%.*s'", type_name(object), STR_ARG(name));
}

/* a.name: the attribute before the item. */
bool get_attribute(struct render *r, struct value object, struct str name, struct value *result)
{
    bool found;
    if (!find_attribute(r, object, name, result, &found)) return false;
    if (!found && !find_item(r, object, v_str(name), result, &found)) return false;
    return found || no_attribute(r, object, name, result);
}

/* a[key]: the item before the attribute. */
bool get_item(struct render *r, struct value object, struct value key, struct value *result)
{
    bool found;
    if (object.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(object.text));
    if (!find_item(r, object, key, result, &found)) return false;
    if (found) return true;
    if (key.kind == V_STR) {
        if (!find_attribute(r, object, key.text, result, &found)) return false;
        return found || no_attribute(r, object, key.text, result);
    }
    return v_undefined(r, result, "%s object has no such element", type_name(object));
}

static bool fall_back(struct value fallback, struct value *v)
{
    if (v->kind == V_UNDEFINED && fallback.kind > V_NONE) *v = fallback;
    return true;
}

/* "a.b.0" as map(attribute=...) takes it; also one whole number. What is undefined on the way becomes `fallback`. */
bool get_path(struct render *r, struct value object, struct value path, struct value fallback, struct value *result)
{
    *result = object;
    if (path.kind != V_STR)
        return path.kind == V_NONE || (get_item(r, object, path, result) && fall_back(fallback, result));
    struct str s = path.text;
    for (size_t from = 0, to; from <= s.length; from = to + 1) {
        int64_t number;
        if (!str_find(s, STR("."), from, &to)) to = s.length;
        struct str part = str_slice(s, from, to);
        bool digits = part.length && part.at[0] >= '0' && part.at[0] <= '9' && parse_int(part, 10, &number);
        if (!get_item(r, *result, digits ? v_int(number) : v_str(part), result)) return false;
        fall_back(fallback, result);
    }
    return true;
}

/* ---- slices ------------------------------------------------------------------------------ */

/* Python's slice.indices: start, stop clipped to `count`. */
static bool slice_limits(struct render *r, const struct value limits[3], int64_t count, int64_t *start, int64_t *stop,
                         int64_t *step)
{
    int64_t *to[3] = {start, stop, step};
    *step = 1;
    for (int i = 2; i >= 0; i--) {
        bool given = limits[i].kind != V_ABSENT && limits[i].kind != V_NONE;
        if (given && !is_integer(limits[i]))
            return host_fail(&r->host, LORAC_FORMAT, "a slice's limits must be integers or None");
        if (given)
            *to[i] = integer_of(limits[i]);
        else if (i < 2)
            *to[i] = (i == 0) == (*step > 0) ? 0 : count;
        if (i == 2 && !*step) return host_fail(&r->host, LORAC_FORMAT, "a slice's step cannot be zero");
        if (i == 2) continue;
        if (!given && *step < 0) *to[i] = i == 0 ? count - 1 : -1;
        if (!given) continue;
        if (*to[i] < 0) *to[i] += count;
        int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? count - 1 : count;
        *to[i] = *to[i] < low ? low : *to[i] > high ? high : *to[i];
    }
    return true;
}

static size_t slice_count(int64_t start, int64_t stop, int64_t step)
{
    if (step > 0) return start < stop ? (size_t)((stop - start - 1) / step) + 1 : 0;
    return start > stop ? (size_t)((uint64_t)(start - stop - 1) / (0 - (uint64_t)step)) + 1 : 0;
}

static bool slice_text(struct render *r, struct str s, int64_t start, int64_t step, size_t count, struct value *result)
{
    if (!work_bytes(r, s.length)) return false;
    if (step == 1) {
        size_t from = str_offset(s, (size_t)start), to = from;
        for (size_t i = 0; i < count; i++) str_next(s, &to);
        return *result = v_str(str_slice(s, from, to)), true;
    }
    struct items *characters;
    struct text t = builder(r);
    bool ok = iterate(r, v_str(s), &characters);
    for (size_t i = 0; ok && i < count; i++) {
        struct str c = characters->at[start + (int64_t)i * step].text;
        text_add(&t, c.at, c.length);
    }
    return builder_end(r, &t, result);
}

bool get_slice(struct render *r, struct value object, const struct value limits[3], struct value *result)
{
    int64_t start = 0, stop = 0, step = 1;
    size_t length;
    if (object.kind == V_UNDEFINED) return host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(object.text));
    if (!repeats(object) && object.kind != V_RANGE)
        return host_fail(&r->host, LORAC_FORMAT, "'%s' has no slices", type_name(object));
    if (!length_of(r, object, &length) || !slice_limits(r, limits, (int64_t)length, &start, &stop, &step)) return false;
    size_t count = slice_count(start, stop, step);
    if (object.kind == V_STR) {
        bool ok = slice_text(r, object.text, start, step, count, result);
        result->safe = object.safe;
        return ok;
    }
    if (object.kind == V_RANGE) {
        const struct range *whole = object.range;
        struct range *part = host_take(&r->host, sizeof *part);
        if (!part) return false;
        if (__builtin_mul_overflow(whole->step, step, &part->step)) return overflow(r);
        uint64_t first = (uint64_t)whole->start,
                 width = (uint64_t)whole->step; /* the end may wrap: it is only printed */
        *part = (struct range){(int64_t)(first + (uint64_t)start * width), (int64_t)(first + (uint64_t)stop * width),
                               part->step, count};
        return *result = (struct value){.kind = V_RANGE, .range = part}, true;
    }
    struct items *items = items_new(r, count);
    if (!items) return false;
    for (size_t i = 0; i < count; i++) items->at[i] = object.items->at[start + (int64_t)i * step];
    return *result = v_items(object.kind, items), true;
}
