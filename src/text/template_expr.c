/* template_expr.c — tokens to expression trees, by recursive descent in the reference's order of binding:
 * if-else < or < and < not < comparisons < + - < ~ < * / // % < ** < unary - + < | is () [] . */
#include "text/template_impl.h"

#include <string.h>

struct token *token_at(struct parser *p, size_t ahead)
{
    size_t last = p->tokens.count - 1, at = p->at + ahead < last ? p->at + ahead : last;
    return (struct token *)p->tokens.items + at;
}

bool token_is(struct parser *p, enum operator op)
{
    return token_at(p, 0)->kind == T_OPERATOR && token_at(p, 0)->op == op;
}

bool token_names(struct parser *p, const char *name)
{
    return token_at(p, 0)->kind == T_NAME && str_is(token_at(p, 0)->text, name);
}

bool skip_op(struct parser *p, enum operator op)
{
    bool is = token_is(p, op);
    p->at += is;
    return is;
}

bool skip_name(struct parser *p, const char *name)
{
    bool is = token_names(p, name);
    p->at += is;
    return is;
}

bool parse_unexpected(struct parser *p, const char *expected)
{
    struct token *t = token_at(p, 0);
    p->host.line = t->line;
    return host_fail(&p->host, LORAC_FORMAT, "expected %s, found '%.*s'", expected, STR_ARG(t->text));
}

bool expect_op(struct parser *p, enum operator op, const char *what)
{
    return skip_op(p, op) || parse_unexpected(p, what);
}

struct node *node_new(struct parser *p, enum node_kind kind, unsigned line)
{
    struct node *n = host_take(&p->host, sizeof *n);
    if (n) *n = (struct node){.kind = kind, .line = line, .depth = 1};
    return n;
}

static int deepest(const struct node *list)
{
    int depth = 0;
    for (; list; list = list->next)
        if (list->depth > depth) depth = list->depth;
    return depth;
}

struct node *node_join(struct parser *p, struct node *n)
{
    const struct node *parts[] = {n->list, n->other, n->parameters};
    const struct node *single[] = {n->a, n->b, n->c, n->d};
    int depth = 0;
    for (size_t i = 0; i < 3; i++)
        if (deepest(parts[i]) > depth) depth = deepest(parts[i]);
    for (size_t i = 0; i < 4; i++)
        if (single[i] && single[i]->depth > depth) depth = single[i]->depth;
    n->depth = depth + 1;
    if (n->depth <= PARSE_DEPTH) return n;
    p->host.line = n->line;
    return host_fail(&p->host, LORAC_UNSUPPORTED, "it nests deeper than %d levels", PARSE_DEPTH), NULL;
}

struct node *node_with2(struct parser *p, enum node_kind kind, unsigned line, struct node *a, struct node *b)
{
    struct node *n = a && b ? node_new(p, kind, line) : NULL;
    if (!n) return NULL;
    n->a = a;
    n->b = b;
    return node_join(p, n);
}

struct node *node_with(struct parser *p, enum node_kind kind, unsigned line, struct node *a)
{
    struct node *n = a ? node_new(p, kind, line) : NULL;
    if (!n) return NULL;
    n->a = a;
    return node_join(p, n);
}

bool parse_enter(struct parser *p)
{
    if (++p->depth <= PARSE_DEPTH) return true;
    p->host.line = token_at(p, 0)->line;
    return host_fail(&p->host, LORAC_UNSUPPORTED, "it nests deeper than %d levels", PARSE_DEPTH);
}

int parse_symbol(struct parser *p, struct str name)
{
    struct str *symbols = p->symbols.items;
    for (size_t i = 0; i < p->symbols.count; i++)
        if (str_equal(symbols[i], name)) {
            if (i == SYMBOL_CALLER) p->uses |= USES_CALLER;
            if (i == SYMBOL_VARARGS) p->uses |= USES_VARARGS;
            if (i == SYMBOL_KWARGS) p->uses |= USES_KWARGS;
            return (int)i;
        }
    struct str *s = p->symbols.count < 4096 ? list_add(&p->symbols) : NULL;
    if (!s) return host_fail(&p->host, LORAC_OUT_OF_MEMORY, "it has too many names"), -1;
    *s = name;
    return (int)p->symbols.count - 1;
}

/* ---- primaries --------------------------------------------------------------------------- */

struct node *parse_constant(struct parser *p, unsigned line, struct value v)
{
    struct node *n = node_new(p, N_CONST, line);
    if (n) n->constant = v;
    return n;
}

static struct node *parse_name(struct parser *p, int flags)
{
    struct token *t = token_at(p, 0);
    p->at++;
    if (str_is(t->text, "true") || str_is(t->text, "True")) return parse_constant(p, t->line, v_bool(true));
    if (str_is(t->text, "false") || str_is(t->text, "False")) return parse_constant(p, t->line, v_bool(false));
    if (str_is(t->text, "none") || str_is(t->text, "None")) return parse_constant(p, t->line, v_none());
    struct node *n = node_new(p, N_NAME, t->line);
    if (!n || (n->symbol = parse_symbol(p, t->text)) < 0) return NULL;
    n->text = t->text;
    if (flags & EXPR_ATTRIBUTES && skip_op(p, OP_DOT)) {
        if (token_at(p, 0)->kind != T_NAME) return parse_unexpected(p, "an attribute's name"), NULL;
        n->kind = N_NS_TARGET;
        n->text = token_at(p, 0)->text;
        p->at++;
    }
    return n;
}

/* Adjacent strings are one. */
static struct node *parse_string(struct parser *p)
{
    struct token *first = token_at(p, 0);
    size_t length = 0, count = 0;
    for (; token_at(p, count)->kind == T_STRING; count++) length += token_at(p, count)->text.length;
    struct str s = first->text;
    if (count > 1) {
        char *joined = host_take(&p->host, length + 1), *to = joined;
        if (!joined) return NULL;
        for (size_t i = 0; i < count; i++) {
            struct str part = token_at(p, i)->text;
            memcpy(to, part.at, part.length);
            to += part.length;
        }
        s = (struct str){joined, length};
    }
    p->at += count;
    return parse_constant(p, first->line, v_str(s));
}

static struct node *parse_pair(struct parser *p)
{
    unsigned line = token_at(p, 0)->line;
    struct node *key = parse_expression(p);
    if (!key || !expect_op(p, OP_COLON, "':'")) return NULL;
    struct node *value = parse_expression(p);
    return node_with2(p, N_PAIR, line, key, value);
}

/* [a, b,] and {a: b, c: d,} after the opening bracket. */
static struct node *parse_display(struct parser *p, enum node_kind kind, enum operator close, const char *what)
{
    struct node *n = node_new(p, kind, token_at(p, 0)->line);
    if (!n) return NULL;
    for (struct node **last = &n->list; !skip_op(p, close);) {
        if (n->list && !expect_op(p, OP_COMMA, what)) return NULL;
        if (skip_op(p, close)) break;
        *last = kind == N_DICT ? parse_pair(p) : parse_expression(p);
        if (!*last) return NULL;
        last = &(*last)->next;
    }
    return node_join(p, n);
}

struct node *parse_primary(struct parser *p, int flags)
{
    struct token *t = token_at(p, 0);
    if (t->kind == T_NAME) return parse_name(p, flags);
    if (t->kind == T_STRING) return parse_string(p);
    if (t->kind == T_INT) return p->at++, parse_constant(p, t->line, v_int(t->integer));
    if (t->kind == T_FLOAT) return p->at++, parse_constant(p, t->line, v_float(t->real));
    if (skip_op(p, OP_LPAREN)) {
        struct node *n = parse_enter(p) ? parse_tuple(p, EXPR_BRACKETS) : NULL;
        p->depth--;
        return n && expect_op(p, OP_RPAREN, "')'") ? n : NULL;
    }
    if (skip_op(p, OP_LBRACKET)) return parse_display(p, N_LIST, OP_RBRACKET, "',' or ']'");
    if (skip_op(p, OP_LBRACE)) return parse_display(p, N_DICT, OP_RBRACE, "',' or '}'");
    return parse_unexpected(p, "an expression"), NULL;
}

static struct node *parse_unary(struct parser *p, bool with_filters)
{
    struct token *t = token_at(p, 0);
    struct node *n;
    if (token_is(p, OP_SUB) || token_is(p, OP_ADD)) {
        p->at++;
        n = parse_enter(p) ? node_with(p, t->op == OP_SUB ? N_NEGATE : N_PLUS, t->line, parse_unary(p, false)) : NULL;
        p->depth--;
    } else {
        n = parse_primary(p, 0);
    }
    n = parse_postfix(p, n);
    while (n && with_filters) {
        if (skip_op(p, OP_PIPE))
            n = parse_filter(p, n);
        else if (skip_name(p, "is"))
            n = parse_test(p, n);
        else if (token_is(p, OP_LPAREN))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* ---- operators --------------------------------------------------------------------------- */

/* 3: ** · 2: * / // % · 1: ~ · 0: + - */
static int binding_of(const struct token *t)
{
    if (t->kind != T_OPERATOR) return -1;
    switch (t->op) {
    case OP_POW:
        return 3;
    case OP_MUL:
    case OP_DIV:
    case OP_FLOORDIV:
    case OP_MOD:
        return 2;
    case OP_TILDE:
        return 1;
    case OP_ADD:
    case OP_SUB:
        return 0;
    default:
        return -1;
    }
}

/* Left-associative throughout, ** too. A chain of ~ is one node. */
static struct node *parse_binary(struct parser *p, int level)
{
    struct node *left = level > 3 ? parse_unary(p, true) : parse_binary(p, level + 1);
    while (left && level <= 3 && binding_of(token_at(p, 0)) == level) {
        struct token *t = token_at(p, 0);
        p->at++;
        struct node *right = parse_binary(p, level + 1);
        left = node_with2(p, level == 1 ? N_CONCAT : N_BINARY, t->line, left, right);
        if (left) left->op = t->op;
    }
    return left;
}

static enum operator comparison(struct parser *p)
{
    struct token *t = token_at(p, 0);
    if (t->kind == T_OPERATOR) return t->op >= OP_EQ && t->op <= OP_GE ? t->op : OP_NONE;
    if (token_names(p, "in")) return OP_IN;
    bool not_in = token_names(p, "not") && token_at(p, 1)->kind == T_NAME && str_is(token_at(p, 1)->text, "in");
    return not_in ? OP_NOT_IN : OP_NONE;
}

static struct node *parse_compare(struct parser *p)
{
    struct node *first = parse_binary(p, 0), *n = NULL, **last = NULL;
    for (enum operator op; first && (op = comparison(p));) {
        unsigned line = token_at(p, 0)->line;
        p->at += op == OP_NOT_IN ? 2 : 1;
        struct node *operand = node_with(p, N_OPERAND, line, parse_binary(p, 0));
        if (!operand || (!n && !(n = node_new(p, N_COMPARE, line)))) return NULL;
        operand->op = op;
        if (!last) last = &n->list;
        *last = operand;
        last = &operand->next;
    }
    if (!first || !n) return first;
    n->a = first;
    return node_join(p, n);
}

static struct node *parse_not(struct parser *p)
{
    unsigned line = token_at(p, 0)->line;
    if (!skip_name(p, "not")) return parse_compare(p);
    struct node *n = parse_enter(p) ? node_with(p, N_NOT, line, parse_not(p)) : NULL;
    p->depth--;
    return n;
}

static struct node *parse_and(struct parser *p)
{
    struct node *left = parse_not(p);
    while (left && token_names(p, "and")) {
        unsigned line = token_at(p, 0)->line;
        p->at++;
        left = node_with2(p, N_AND, line, left, parse_not(p));
    }
    return left;
}

static struct node *parse_or(struct parser *p)
{
    struct node *left = parse_and(p);
    while (left && token_names(p, "or")) {
        unsigned line = token_at(p, 0)->line;
        p->at++;
        left = node_with2(p, N_OR, line, left, parse_and(p));
    }
    return left;
}

static struct node *parse_if_else(struct parser *p)
{
    struct node *then = parse_or(p);
    while (then && token_names(p, "if")) {
        struct node *n = node_new(p, N_IF_ELSE, token_at(p, 0)->line);
        p->at++;
        if (!n || !(n->a = then) || !(n->b = parse_or(p))) return NULL;
        if (skip_name(p, "else") && !(n->c = parse_expression(p))) return NULL;
        then = node_join(p, n);
    }
    return then;
}

struct node *parse_expression(struct parser *p)
{
    struct node *n = parse_enter(p) ? parse_if_else(p) : NULL;
    p->depth--;
    return n;
}

static bool at_tuple_end(struct parser *p, int flags)
{
    struct token *t = token_at(p, 0);
    if (t->kind == T_PRINT_END || t->kind == T_BLOCK_END || token_is(p, OP_RPAREN)) return true;
    if (flags & EXPR_BRACKETS && token_is(p, OP_RBRACKET)) return true;
    return (flags & EXPR_UNTIL_IN && token_names(p, "in")) ||
           (flags & EXPR_UNTIL_RECURSIVE && token_names(p, "recursive"));
}

static struct node *parse_tuple_part(struct parser *p, int flags)
{
    if (flags & EXPR_NAMES_ONLY) return parse_primary(p, flags);
    if (!(flags & EXPR_NO_IF)) return parse_expression(p);
    struct node *n = parse_enter(p) ? parse_or(p) : NULL;
    p->depth--;
    return n;
}

/* One expression, or a tuple where there are commas; empty only between brackets. */
struct node *parse_tuple(struct parser *p, int flags)
{
    unsigned line = token_at(p, 0)->line;
    struct node *first = NULL, **last = &first;
    bool comma = false;
    while (!at_tuple_end(p, flags)) {
        if (!(*last = parse_tuple_part(p, flags))) return NULL;
        last = &(*last)->next;
        if (!skip_op(p, OP_COMMA)) break;
        comma = true;
    }
    if (first && !comma) return first;
    if (!first && !(flags & EXPR_BRACKETS)) return parse_unexpected(p, "an expression"), NULL;
    struct node *n = node_new(p, N_TUPLE, line);
    if (!n) return NULL;
    n->list = first;
    return node_join(p, n);
}
