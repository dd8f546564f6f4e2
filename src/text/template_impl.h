/* template_impl.h — what the parts of the template interpreter share; nobody else includes it.
 *
 * template_lex.c       source to tokens                 template_value.c     arena, errors, strings, containers
 * template_parse.c     statements                       template_compare.c   truth, equality, order, iteration
 * template_expr.c, template_postfix.c   expressions      template_operate.c   operators, attributes, items
 * template_scope.c     which names a scope hides        template_print.c     str(), repr(), tojson
 * template_exec.c      statements, loops                template_unicode.c   characters: space, case
 * template_macro.c     macros, calls, generation        template_format.c    % and str.format; dates
 * template_eval.c      values of expressions            template_spec.c      {:>8.2f}
 * template_global.c    range, namespace, strftime_now   template_filters.c, template_sequence.c, template_select.c
 * template_joiner.c    joiner, cycler                   template_markup.c, template_html.c, template_pprint.c,
 * template_check.c     filters and tests that are none      template_urlize.c, template_wrap.c   more filters
 * template_tests.c     what follows "is"                template_number.c    float(), int()
 * template_methods.c   of dict, list, loop              template_str.c, template_str_parts.c,
 *                                                           template_translate.c   methods of str
 *
 * Functions that can fail return bool: false means that host.status and the caller's error are set. */
#ifndef TEXT_TEMPLATE_IMPL_H
#define TEXT_TEMPLATE_IMPL_H

#include "base/os.h"
#include "text/template_value.h"

/* ---- program ----------------------------------------------------------------------------- */

enum token_kind {
    T_END,
    T_DATA,
    T_PRINT_BEGIN,
    T_PRINT_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_OPERATOR,
};
enum operator{
    OP_NONE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN,
    OP_TILDE,
    OP_ASSIGN,
    OP_DOT,
    OP_COLON,
    OP_PIPE,
    OP_COMMA,
    OP_SEMICOLON,
    OP_LPAREN,
    OP_RPAREN,
    OP_LBRACKET,
    OP_RBRACKET,
    OP_LBRACE,
    OP_RBRACE,
};
struct token {
    enum token_kind kind;
    enum operator op;
    unsigned line;
    struct str text; /* of data, name and string; of the others as written */
    int64_t integer;
    double real;
};

enum node_kind {
    /* expressions */
    N_CONST, /* constant */
    N_NAME,  /* symbol */
    N_TUPLE, /* list: items */
    N_LIST,  /* list: items */
    N_DICT,  /* list: N_PAIR a: b */
    N_PAIR,
    N_ATTRIBUTE, /* a.text */
    N_ITEM,      /* a[b] */
    N_SLICE,     /* a[b:c:d] */
    N_CALL,      /* a(list: N_ARGUMENT) */
    N_ARGUMENT,  /* a; text: its keyword or empty; op: OP_MUL for *a, OP_POW for **a */
    N_FILTER,    /* a | text(list) */
    N_TEST,      /* a is text(list) */
    N_NOT,
    N_NEGATE,
    N_PLUS,
    N_AND,
    N_OR,
    N_IF_ELSE, /* a if b else c */
    N_COMPARE, /* a op (list: N_OPERAND op a) */
    N_OPERAND,
    N_BINARY, /* a op b */
    N_CONCAT, /* list */
    N_INPUT,  /* what a filter block or block set hands to its filters */
    /* statements; bodies are lists */
    N_DATA,         /* text */
    N_PRINT,        /* a */
    N_SEQUENCE,     /* list */
    N_SET,          /* a = b */
    N_SET_BLOCK,    /* a, b: filters or NULL, list: body */
    N_NS_TARGET,    /* symbol.text, only as a target */
    N_IF,           /* list: N_BRANCH */
    N_BRANCH,       /* a: condition or NULL, list: body */
    N_FOR,          /* a in b if c; list: body; other: else; op: OP_POW if recursive */
    N_MACRO,        /* symbol, parameters, list: body */
    N_PARAMETER,    /* symbol, text, a: default or NULL */
    N_CALL_BLOCK,   /* a: N_CALL; b: the N_MACRO that is its caller */
    N_FILTER_BLOCK, /* a: filters, list: body */
    N_WITH,         /* parameters: N_SET, list: body */
    N_GENERATION,   /* list: body */
    N_BREAK,
    N_CONTINUE,
};
enum macro_use { USES_CALLER = 1, USES_VARARGS = 2, USES_KWARGS = 4 };

/* Names that a scope owns from its beginning (template_scope.c). */
struct hidden {
    size_t count;
    int *symbols;
};

struct node {
    enum node_kind kind;
    enum operator op;
    unsigned line;
    int depth;        /* height of the tree below */
    int symbol, uses; /* uses: macro_use flags of N_MACRO */
    struct str text;
    struct value constant;
    const struct function *function; /* of N_FILTER and N_TEST; NULL: not known */
    struct node *a, *b, *c, *d;
    struct node *list, *other, *parameters;
    struct hidden hidden, hidden_other; /* of the scopes that `list` and `other` run in */
    struct node *next;                  /* in the list that holds this node */
};

struct chat_template {
    struct arena arena;
    struct memory *memory;
    char *name;
    struct node *body;
    struct hidden hidden;
    bool marks;          /* there are generation blocks */
    struct str *symbols; /* names, by number */
    size_t symbol_count;
};

/* Symbols that every template has, by number. */
enum { SYMBOL_LOOP, SYMBOL_CALLER, SYMBOL_VARARGS, SYMBOL_KWARGS, SYMBOLS_FIXED };

struct parser {
    struct host host;
    struct list tokens;  /* struct token */
    struct list symbols; /* struct str */
    size_t at;           /* the current token */
    int depth, uses;
    bool marks; /* a generation block was seen */
};

bool template_lex(struct parser *p, struct str source);
struct node *parse_template(struct parser *p); /* NULL after setting the error; a body may be empty: see *ok */
bool parse_body(struct parser *p, const char *const *ends, struct node **body);
bool resolve_names(struct parser *p, struct node *body, struct hidden *hidden); /* after parsing */
bool check_applied(struct parser *p, const struct node *body);                  /* likewise */

/* Parser primitives and expressions. NULL means failure. */
struct token *token_at(struct parser *p, size_t ahead);
bool token_is(struct parser *p, enum operator op);
bool token_names(struct parser *p, const char *name);
bool skip_op(struct parser *p, enum operator op);
bool skip_name(struct parser *p, const char *name);
bool expect_op(struct parser *p, enum operator op, const char *what);
bool parse_unexpected(struct parser *p, const char *expected);
int parse_symbol(struct parser *p, struct str name); /* -1 after a failure */
struct node *node_new(struct parser *p, enum node_kind kind, unsigned line);
struct node *node_join(struct parser *p, struct node *n); /* computes the height of n from its parts */
/* A node of one or two parts; NULL if one of them is. */
struct node *node_with(struct parser *p, enum node_kind kind, unsigned line, struct node *a);
struct node *node_with2(struct parser *p, enum node_kind kind, unsigned line, struct node *a, struct node *b);
bool parse_enter(struct parser *p); /* one level deeper; the caller lowers p->depth in any case */
enum {
    EXPR_NO_IF = 1,
    EXPR_UNTIL_IN = 2,
    EXPR_NAMES_ONLY = 4,
    EXPR_ATTRIBUTES = 8,
    EXPR_BRACKETS = 16,
    EXPR_UNTIL_RECURSIVE = 32
};
struct node *parse_tuple(struct parser *p, int flags);
struct node *parse_expression(struct parser *p);
struct node *parse_primary(struct parser *p, int flags);
struct node *parse_constant(struct parser *p, unsigned line, struct value v);
struct node *parse_postfix(struct parser *p, struct node *n);     /* .a [b] (c) ... */
struct node *parse_call(struct parser *p, struct node *callee);   /* at the "(" */
struct node *parse_test(struct parser *p, struct node *object);   /* after "is" */
struct node *parse_filters(struct parser *p, struct node *input); /* | a | b ... */
struct node *parse_filter(struct parser *p, struct node *input);  /* at the filter's name */

/* ---- rendering --------------------------------------------------------------------------- */

struct render {
    struct host host;
    const struct chat_template *template;
    struct text *out;
    size_t out_start;   /* where this rendering began in out */
    struct list *spans; /* of generation blocks, or NULL */
    bool folding;       /* at work on a constant that is printed, which the reference computes before it runs */
    int captures;       /* how many blocks at work print into strings */
    size_t captured_at; /* where in out the outermost of them began */
    size_t steps;
    size_t clock_at; /* the step at which the clock is looked at */
    double deadline; /* by os_seconds() */
    int depth;
    struct value *globals; /* by symbol */
    struct scope *scope;
    struct value input; /* what N_INPUT is */
};
/* What this rendering has printed up to a place in out. */
static inline struct str printed(const struct render *r, size_t to)
{
    return (struct str){r->out->data ? r->out->data + r->out_start : "", to - r->out_start};
}
enum flow { FLOW_FAILED, FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

bool work(struct render *r, size_t steps);
bool work_bytes(struct render *r, size_t bytes);
bool eval(struct render *r, const struct node *n, struct value *result);
bool eval_call(struct render *r, const struct node *list, struct call *c); /* fills arguments and keywords */
enum flow exec(struct render *r, const struct node *body);
bool exec_macro(struct render *r, const struct node *n);
bool exec_call_block(struct render *r, const struct node *n);
bool exec_generation(struct render *r, const struct node *n);
struct scope *scope_new(struct render *r, struct scope *parent);
bool capture(struct render *r, struct scope *scope, const struct node *n, struct value *result);
bool print_out(struct render *r, struct str s);
bool print_result(struct render *r, struct value v);
bool assign(struct render *r, const struct node *target, struct value v);
bool bind(struct render *r, int symbol, struct value v);
bool lookup(struct render *r, int symbol, struct value *result);
bool call_macro(struct render *r, struct macro *m, struct call *c, struct value *result);
bool call_loop(struct render *r, struct loop *l, struct call *c, struct value *result);
bool call_function(struct render *r, struct call *c, struct value *result); /* binds c->arg, then calls */
bool call_value(struct render *r, struct value callee, struct call *c, struct value *result);
/* Always false: the function at work takes something else. */
bool wants(struct render *r, const struct call *c, const char *what, struct value found);

const struct function *find_filter(struct str name);
const struct function *find_sequence_filter(struct str name);
const struct function *find_select_filter(struct str name);
const struct function *find_markup_filter(struct str name);
const struct function *find_test(struct str name);
const struct function *find_global(struct str name);
const struct function *find_str_method(struct str name);
const struct function *find_str_part_method(struct str name);
const struct function *find_str_table_method(struct str name);
const struct function *find_function(const struct function *table, size_t count, struct str name);

bool filter_pprint(struct render *r, struct call *c, struct value *result);
bool filter_striptags(struct render *r, struct call *c, struct value *result);
bool filter_urlize(struct render *r, struct call *c, struct value *result);
bool filter_wordwrap(struct render *r, struct call *c, struct value *result);

bool global_joiner(struct render *r, struct call *c, struct value *result);
bool global_cycler(struct render *r, struct call *c, struct value *result);
bool find_cycler_attribute(struct render *r, struct value f, struct str name, struct value *result, bool *found);
/* What is an attribute of a function: dict.fromkeys, and a cycler's. */
bool find_function_method(struct render *r, struct value f, struct str name, struct value *result, bool *found);
/* Methods. `known` is set if Python's type has the attribute, though lorac may not have it. */
bool find_method(struct render *r, struct value object, struct str name, struct value *result, bool *found);

/* operators */
bool operate(struct render *r, enum operator op, struct value a, struct value b, struct value *result);
bool negate(struct render *r, struct value v, bool minus, struct value *result);
bool get_attribute(struct render *r, struct value object, struct str name, struct value *result);
bool get_item(struct render *r, struct value object, struct value key, struct value *result);
bool get_slice(struct render *r, struct value object, const struct value limits[3], struct value *result);
bool get_path(struct render *r, struct value object, struct value path, struct value fallback,
              struct value *result); /* "a.b.0" */
bool compare(struct render *r, enum operator op, struct value a, struct value b, bool *result);

/* values */
static inline struct value v_absent(void)
{
    return (struct value){.kind = V_ABSENT};
}
static inline struct value v_none(void)
{
    return (struct value){.kind = V_NONE};
}
static inline struct value v_bool(bool b)
{
    return (struct value){.kind = V_BOOL, .boolean = b};
}
static inline struct value v_int(int64_t i)
{
    return (struct value){.kind = V_INT, .integer = i};
}
static inline struct value v_float(double f)
{
    return (struct value){.kind = V_FLOAT, .real = f};
}
static inline struct value v_str(struct str s)
{
    return (struct value){.kind = V_STR, .text = s};
}
static inline struct value v_items(enum value_kind kind, struct items *items)
{
    return (struct value){.kind = kind, .items = items};
}
static inline bool is_integer(struct value v)
{
    return v.kind == V_INT || v.kind == V_BOOL;
}
static inline int64_t integer_of(struct value v)
{
    return v.kind == V_BOOL ? v.boolean : v.integer;
}
static inline bool is_number(struct value v)
{
    return is_integer(v) || v.kind == V_FLOAT;
}
static inline double real_of(struct value v)
{
    return v.kind == V_FLOAT ? v.real : (double)integer_of(v);
}
static inline bool is_missing(struct value v)
{
    return v.kind == V_ABSENT || v.kind == V_UNDEFINED;
}

bool str_equal(struct str a, struct str b);
bool str_is(struct str a, const char *b);
int str_compare(struct str a, struct str b);
struct str str_slice(struct str s, size_t from, size_t to); /* bytes */
bool str_find(struct str s, struct str part, size_t from, size_t *at);

const char *type_name(struct value v);
bool v_undefined(struct render *r, struct value *result, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool v_copy(struct render *r, const char *bytes, size_t length, struct value *result);
bool str_join2(struct render *r, struct str a, struct str b, struct str *result);
struct items *items_new(struct render *r, size_t count); /* NULL after a failure */
struct dict *dict_new(struct render *r, size_t capacity);
bool dict_set(struct render *r, struct dict *d, struct value key, struct value v);
bool dict_get(struct render *r, const struct dict *d, struct value key, struct value *v, bool *found);
bool dict_get_name(struct render *r, const struct dict *d, struct str name, struct value *v, bool *found);
bool from_json(struct render *r, const json_t *json, int depth, struct value *result);

bool truth(struct value v);
bool equal(struct render *r, struct value a, struct value b, bool *result);
bool less(struct render *r, struct value a, struct value b, bool *result);
bool is_hashable(struct value v);
bool contains(struct render *r, struct value container, struct value v, bool *result);
bool length_of(struct render *r, struct value v, size_t *length);
bool iterate(struct render *r, struct value v, struct items **items); /* an error if it cannot be iterated over */
bool is_iterable(struct value v);

/* A text under construction; its bytes go into the arena at the end. Always closed by builder_end or builder_drop. */
bool builder_end(struct render *r, struct text *t, struct value *result);
struct text builder(struct render *r);

bool print_str(struct render *r, struct text *t, struct value v);  /* Python's str() */
bool print_repr(struct render *r, struct text *t, struct value v); /* Python's repr() */
bool to_str(struct render *r, struct value v, struct str *result);
bool too_deep(struct render *r); /* values that nest deeper cannot be printed: an error */
/* The pairs of a dict in the order of their keys, which must have room for all. */
bool sort_pairs(struct render *r, const struct dict *d, const struct pair **order,
                bool (*before)(struct render *r, struct value a, struct value b, bool *result));
struct json_form {
    bool ascii, sort;
    bool pretty;
    struct str indent, item_separator, key_separator;
};
bool print_json(struct render *r, struct text *t, struct value v, const struct json_form *form);
bool escape_html(struct render *r, struct value v, struct value *result);
bool parse_float(struct memory *m, struct str s, double *value); /* Python's float(str) */
bool parse_int(struct str s, int base, int64_t *value);          /* Python's int(str, base) */

/* characters */
bool is_space(uint32_t code);
bool is_printable(uint32_t code);
bool is_cased(uint32_t code);
bool is_alphabetic(uint32_t code);
bool is_alphanumeric(uint32_t code);
bool is_word_character(uint32_t code); /* of \w */
bool is_decimal(uint32_t code);
bool is_digit(uint32_t code);   /* also superscripts and the like */
bool is_numeric(uint32_t code); /* also fractions and Han numerals */
struct str str_strip(struct str s, const struct str *characters, bool left, bool right);
size_t str_characters(struct str s);
size_t str_offset(struct str s, size_t character); /* the byte where a character starts */
uint32_t str_next(struct str s, size_t *at);       /* the character at *at, which moves on */
enum letter_case { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITAL, CASE_SWAP, CASE_FOLD };
bool is_identifier(struct str s); /* a name in Python */
void print_case(struct text *t, struct str s, enum letter_case to);
bool str_has_case(struct str s, enum letter_case wanted); /* str.isupper, islower, istitle */
size_t str_line(struct str s, size_t from, size_t *next); /* the end of a line; *next: where the next begins */

/* Replaces the first `count` occurrences; a negative count: all. */
bool replace_text(struct render *r, struct str s, struct str old, struct str with, int64_t count, struct value *result);
bool format_percent(struct render *r, struct str format, struct value arguments, struct value *result);
bool format_braces(struct render *r, struct call *c, struct value *result);
bool format_spec(struct render *r, struct text *t, struct value v, struct str spec); /* Python's format() */
struct tm;
bool format_time(struct text *t, struct str format, const struct tm *when,
                 long microseconds); /* false: unknown directive */

#endif
