/* template_tests.c — what may follow "is". */
#include "text/template_impl.h"

#define TEST(NAME, CONDITION)                                                                                          \
    static bool test_##NAME(struct render *r, struct call *c, struct value *result)                                    \
    {                                                                                                                  \
        struct value v = c->self;                                                                                      \
        return *result = v_bool(CONDITION), true;                                                                      \
    }

TEST(defined, v.kind != V_UNDEFINED)
TEST(undefined, v.kind == V_UNDEFINED)
TEST(none, v.kind == V_NONE)
TEST(boolean, v.kind == V_BOOL)
TEST(true, v.kind == V_BOOL && v.boolean)
TEST(false, v.kind == V_BOOL && !v.boolean)
TEST(integer, v.kind == V_INT)
TEST(float, v.kind == V_FLOAT)
TEST(number, is_number(v))
TEST(string, v.kind == V_STR)
TEST(mapping, v.kind == V_DICT)
TEST(iterable, is_iterable(v) || v.kind == V_LOOP)
TEST(sequence, v.kind == V_STR || v.kind == V_LIST || v.kind == V_TUPLE || v.kind == V_RANGE || v.kind == V_DICT ||
                   v.kind == V_UNDEFINED)
TEST(callable, v.kind == V_FUNCTION || v.kind == V_MACRO || v.kind == V_LOOP || v.kind == V_UNDEFINED)
TEST(escaped, v.kind == V_STR && v.safe)

static bool divides(struct render *r, struct value v, struct value by, int64_t rest, struct value *result)
{
    return operate(r, OP_MOD, v, by, result) && compare(r, OP_EQ, *result, v_int(rest), &result->boolean) &&
           (*result = v_bool(result->boolean), true);
}

static bool test_odd(struct render *r, struct call *c, struct value *result)
{
    return divides(r, c->self, v_int(2), 1, result);
}
static bool test_even(struct render *r, struct call *c, struct value *result)
{
    return divides(r, c->self, v_int(2), 0, result);
}
static bool test_divisibleby(struct render *r, struct call *c, struct value *result)
{
    return divides(r, c->self, c->arg[0], 0, result);
}

static bool compare_test(struct render *r, struct call *c, enum operator op, struct value *result)
{
    bool holds;
    return compare(r, op, c->self, c->arg[0], &holds) && (*result = v_bool(holds), true);
}

static bool test_eq(struct render *r, struct call *c, struct value *result)
{
    return compare_test(r, c, OP_EQ, result);
}
static bool test_ne(struct render *r, struct call *c, struct value *result)
{
    return compare_test(r, c, OP_NE, result);
}
static bool test_lt(struct render *r, struct call *c, struct value *result)
{
    return compare_test(r, c, OP_LT, result);
}
static bool test_le(struct render *r, struct call *c, struct value *result)
{
    return compare_test(r, c, OP_LE, result);
}
static bool test_gt(struct render *r, struct call *c, struct value *result)
{
    return compare_test(r, c, OP_GT, result);
}
static bool test_ge(struct render *r, struct call *c, struct value *result)
{
    return compare_test(r, c, OP_GE, result);
}
static bool test_in(struct render *r, struct call *c, struct value *result)
{
    return compare_test(r, c, OP_IN, result);
}

/* The same object: small values are theirs, containers by address. */
static bool test_sameas(struct render *r, struct call *c, struct value *result)
{
    struct value a = c->self, b = c->arg[0];
    bool same = a.kind == b.kind;
    if (same && a.kind >= V_LIST)
        same = a.items == b.items;
    else if (same && !compare(r, OP_EQ, a, b, &same))
        return false;
    return *result = v_bool(same), true;
}

/* Whether all letters that have a case have this one, and there is one. */
static bool has_case(struct render *r, struct value v, enum letter_case wanted, struct value *result)
{
    struct str s;
    if (!to_str(r, v, &s) || !work_bytes(r, s.length)) return false;
    *result = v_bool(str_has_case(s, wanted));
    return true;
}

static bool test_lower(struct render *r, struct call *c, struct value *result)
{
    return has_case(r, c->self, CASE_LOWER, result);
}
static bool test_upper(struct render *r, struct call *c, struct value *result)
{
    return has_case(r, c->self, CASE_UPPER, result);
}

static bool is_a_name(struct render *r, struct value v)
{
    return is_hashable(v) || host_fail(&r->host, LORAC_FORMAT, "unhashable type: '%s'", type_name(v));
}

static bool test_filter(struct render *r, struct call *c, struct value *result)
{
    return is_a_name(r, c->self) && (*result = v_bool(c->self.kind == V_STR && find_filter(c->self.text)), true);
}

static bool test_test(struct render *r, struct call *c, struct value *result)
{
    return is_a_name(r, c->self) && (*result = v_bool(c->self.kind == V_STR && find_test(c->self.text)), true);
}

static const struct function tests[] = {
    {"defined", test_defined, 0, ""},
    {"undefined", test_undefined, 0, ""},
    {"none", test_none, 0, ""},
    {"boolean", test_boolean, 0, ""},
    {"true", test_true, 0, ""},
    {"false", test_false, 0, ""},
    {"integer", test_integer, 0, ""},
    {"float", test_float, 0, ""},
    {"number", test_number, 0, ""},
    {"string", test_string, 0, ""},
    {"mapping", test_mapping, 0, ""},
    {"iterable", test_iterable, 0, ""},
    {"sequence", test_sequence, 0, ""},
    {"callable", test_callable, 0, ""},
    {"escaped", test_escaped, 0, ""},
    {"odd", test_odd, 0, ""},
    {"even", test_even, 0, ""},
    {"divisibleby", test_divisibleby, 1, "num"},
    {"lower", test_lower, 0, ""},
    {"upper", test_upper, 0, ""},
    {"sameas", test_sameas, 1, "other"},
    {"filter", test_filter, 0, ""},
    {"test", test_test, 0, ""},
    {"in", test_in, 1, "seq"},
    {"==", test_eq, 1, "b"},
    {"eq", test_eq, 1, "b"},
    {"equalto", test_eq, 1, "b"},
    {"!=", test_ne, 1, "b"},
    {"ne", test_ne, 1, "b"},
    {"<", test_lt, 1, "b"},
    {"lt", test_lt, 1, "b"},
    {"lessthan", test_lt, 1, "b"},
    {"<=", test_le, 1, "b"},
    {"le", test_le, 1, "b"},
    {">", test_gt, 1, "b"},
    {"gt", test_gt, 1, "b"},
    {"greaterthan", test_gt, 1, "b"},
    {">=", test_ge, 1, "b"},
    {"ge", test_ge, 1, "b"},
};

const struct function *find_test(struct str name)
{
    return find_function(tests, sizeof tests / sizeof *tests, name);
}
