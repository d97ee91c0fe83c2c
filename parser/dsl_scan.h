/* The scanner's side of the sentence parser. Private to parser/. */
#ifndef SBX_PARSER_DSL_SCAN_H
#define SBX_PARSER_DSL_SCAN_H

#include "parser/dsl.h"
#include "parser/grammar.h"

/* Opens a scanner over len bytes of text for dsl->section. False when memory is out. */
bool dsl_scanner_open(struct dsl *dsl, const char *text, size_t len);
void dsl_scanner_close(struct dsl *dsl);
int dsl_scan(POL_YYSTYPE *val, POL_YYLTYPE *loc, void *scanner);

#endif
