/* template_postfix.c — what follows a value: attributes, items, slices, calls, filters, tests. */
#include "text/template_impl.h"

static struct node *parse_argument(struct parser *p)
{
    struct node *n = node_new(p, N_ARGUMENT, token_at(p, 0)->line);
    if (!n) return NULL;
    if (skip_op(p, OP_MUL)) {
        n->op = OP_MUL;
    } else if (skip_op(p, OP_POW)) {
        n->op = OP_POW;
    } else if (token_at(p, 0)->kind == T_NAME && token_at(p, 1)->kind == T_OPERATOR &&
               token_at(p, 1)->op == OP_ASSIGN) {
        n->text = token_at(p, 0)->text;
        p->at += 2;
    }
    n->a = parse_expression(p);
    return n->a ? node_join(p, n) : NULL;
}

/* The arguments after "(" up to ")": plain ones, then named ones. */
static bool parse_arguments(struct parser *p, struct node **list)
{
    int last_rank = 0;
    size_t count = 0;
    while (!skip_op(p, OP_RPAREN)) {
        if (count && !expect_op(p, OP_COMMA, "',' or ')'")) return false;
        if (skip_op(p, OP_RPAREN)) break;
        struct node *n = parse_argument(p);
        if (!n) return false;
        int rank = n->op == OP_POW ? 3 : n->op == OP_MUL ? 2 : n->text.length ? 1 : 0;
        p->host.line = n->line;
        if (rank == 0 ? last_rank > 0 : rank > 1 && rank <= last_rank)
            return host_fail(&p->host, LORAC_FORMAT, "an argument without a name follows a named one");
        if (++count > CALL_ARGUMENTS)
            return host_fail(&p->host, LORAC_UNSUPPORTED, "more than %d arguments", CALL_ARGUMENTS);
        if (rank > last_rank) last_rank = rank;
        *list = n;
        list = &n->next;
    }
    return true;
}

struct node *parse_call(struct parser *p, struct node *callee)
{
    struct node *n = node_new(p, N_CALL, token_at(p, 0)->line);
    if (!n) return NULL;
    n->a = callee;
    p->at++;
    bool ok = parse_enter(p) && parse_arguments(p, &n->list);
    p->depth--;
    return ok ? node_join(p, n) : NULL;
}

/* a.name, a.0 */
static struct node *parse_attribute(struct parser *p, struct node *object)
{
    struct token *t = token_at(p, 0);
    p->at++;
    if (t->kind == T_INT) return node_with2(p, N_ITEM, t->line, object, parse_constant(p, t->line, v_int(t->integer)));
    if (t->kind != T_NAME) return p->at--, parse_unexpected(p, "a name or a number after '.'"), NULL;
    struct node *n = node_with(p, N_ATTRIBUTE, t->line, object);
    if (n) n->text = t->text;
    return n;
}

/* a[b], a[b:c:d], a[b, c] after the bracket. */
static struct node *parse_item(struct parser *p, struct node *object)
{
    unsigned line = token_at(p, 0)->line;
    struct node *limits[3] = {0};
    int colons = 0;
    for (;;) {
        if (token_is(p, OP_COLON) && colons < 2) {
            p->at++;
            colons++;
        } else if (skip_op(p, OP_RBRACKET)) {
            break;
        } else if (limits[colons]) {
            return parse_unexpected(p, "']'"), NULL;
        } else if (!(limits[colons] = colons ? parse_expression(p) : parse_tuple(p, EXPR_BRACKETS))) {
            return NULL;
        }
    }
    if (!colons) {
        if (!limits[0]) limits[0] = node_new(p, N_TUPLE, line); /* a[] is a[()] */
        return node_with2(p, N_ITEM, line, object, limits[0]);
    }
    struct node *n = node_new(p, N_SLICE, line);
    if (!n) return NULL;
    n->a = object;
    n->b = limits[0];
    n->c = limits[1];
    n->d = limits[2];
    return node_join(p, n);
}

struct node *parse_postfix(struct parser *p, struct node *n)
{
    while (n) {
        if (skip_op(p, OP_DOT))
            n = parse_attribute(p, n);
        else if (skip_op(p, OP_LBRACKET))
            n = parse_item(p, n);
        else if (token_is(p, OP_LPAREN))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* The name of a filter or test: "a.b" is one name. */
static bool parse_dotted(struct parser *p, struct node *n, const char *what)
{
    if (token_at(p, 0)->kind != T_NAME) return parse_unexpected(p, what);
    struct str name = token_at(p, 0)->text;
    p->at++;
    while (skip_op(p, OP_DOT)) {
        if (token_at(p, 0)->kind != T_NAME) return parse_unexpected(p, what);
        struct str part = token_at(p, 0)->text;
        name.length = (size_t)(part.at + part.length - name.at);
        p->at++;
    }
    n->text = name;
    return true;
}

struct node *parse_filter(struct parser *p, struct node *input)
{
    struct node *n = input ? node_new(p, N_FILTER, token_at(p, 0)->line) : NULL;
    if (!n || !parse_dotted(p, n, "a filter's name")) return NULL;
    n->a = input;
    n->function = find_filter(n->text);
    if (skip_op(p, OP_LPAREN) && !parse_arguments(p, &n->list)) return NULL;
    return node_join(p, n);
}

struct node *parse_filters(struct parser *p, struct node *input)
{
    while (input && skip_op(p, OP_PIPE)) input = parse_filter(p, input);
    return input;
}

/* Whether what follows a test's name is its argument, written without brackets. */
static bool test_takes_argument(struct parser *p)
{
    struct token *t = token_at(p, 0);
    if (t->kind == T_NAME) return !token_names(p, "else") && !token_names(p, "or") && !token_names(p, "and");
    return t->kind == T_STRING || t->kind == T_INT || t->kind == T_FLOAT || token_is(p, OP_LBRACKET) ||
           token_is(p, OP_LBRACE);
}

struct node *parse_test(struct parser *p, struct node *object)
{
    unsigned line = token_at(p, 0)->line;
    bool negated = skip_name(p, "not");
    struct node *n = node_new(p, N_TEST, line);
    if (!n || !parse_dotted(p, n, "a test's name")) return NULL;
    n->a = object;
    n->function = find_test(n->text);
    if (skip_op(p, OP_LPAREN)) {
        if (!parse_arguments(p, &n->list)) return NULL;
    } else if (test_takes_argument(p)) {
        if (token_names(p, "is")) return parse_unexpected(p, "one test ('is' cannot be chained)"), NULL;
        struct node *argument = parse_postfix(p, parse_primary(p, 0));
        n->list = node_with(p, N_ARGUMENT, line, argument);
        if (!n->list) return NULL;
    }
    n = node_join(p, n);
    return negated ? node_with(p, N_NOT, line, n) : n;
}
