/* Printing sentences; ast_print.c prints the keys around them. Private to parser/. */
#ifndef SBX_PARSER_PRINT_H
#define SBX_PARSER_PRINT_H

#include "base/buf.h"
#include "parser/ast.h"

/* n in the largest of nr units that divides it; units and factors go from small to large. */
void print_unit(struct buf *b, uint64_t n, const char *const *units, const uint64_t *factors, int nr);
void print_size(struct buf *b, uint64_t n);

/* " as VALUE", or nothing for NULL. */
void print_as(struct buf *b, const struct ast_val *as);
/* " a, @b except {c}" */
void print_targets(struct buf *b, const struct ast_target *t);

/* One statement on its line (several for a block), two blanks deeper than indent. */
void print_rule(struct buf *b, const struct ast_rule *r, const char *indent);
void print_file(struct buf *b, const struct ast_file *f, const char *indent);
void print_net(struct buf *b, const struct ast_net *n, const char *indent);
void print_exec(struct buf *b, const struct ast_exec *x, const char *indent);
void print_test(struct buf *b, const struct ast_test *t);

#endif
