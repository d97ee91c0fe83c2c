/* The sentences of the policy language. One grammar; each section starts with its own injected token.
 * Every statement starts with a keyword, so line ends do not matter, and after an error the driver
 * (dsl.c) skips to the next such keyword and injects RESYNC. */
%require "3.8"
%define api.prefix {pol_yy}
%define api.pure full
%define api.value.type union
%define api.location.type {struct src_span}
%define api.token.prefix {TOK_}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {struct dsl *dsl}
%initial-action { memset(&@$, 0, sizeof(@$)); }

%code requires {
#include "parser/dsl.h"
}

%code provides {
/* The driver's token source (dsl.c) and the flex scanner behind it (lexer.l). */
int pol_yylex(POL_YYSTYPE *val, POL_YYLTYPE *loc, struct dsl *dsl);
void pol_yyerror(POL_YYLTYPE *loc, struct dsl *dsl, const char *msg);
/* The words for a set of expected tokens, and the report (report.c). */
void dsl_report(struct dsl *dsl, struct src_span at, const char *found, const char *const *expected,
		int nr);
}

%code {
#include <string.h>

#define YYMAXDEPTH 2000

/* Positions of empty parts have no line and do not count. */
#define YYLLOC_DEFAULT(cur, rhs, n)                                                                \
	do {                                                                                       \
		memset(&(cur), 0, sizeof(cur));                                                    \
		for (int i_ = 1; i_ <= (n); i_++)                                                  \
			if (YYRHSLOC(rhs, i_).line)                                                \
				(cur) = source_join((cur), YYRHSLOC(rhs, i_));                     \
	} while (0)
}

%token START_RULES START_FILES START_NET START_EXEC START_TESTS START_OUTCOME START_TARGETS START_AFTER
%token RESYNC RESYNC_ARM

%token NEVER "never" ALLOW "allow" DENY "deny" TERMINATE "terminate" TRAP "trap" ASK "ask"
%token EMULATE "emulate" EXTEND "extend" REPLACE "replace" ON "on"
%token AS "as" SET "set" IF "if" ELSE "else" EXCEPT "except"
%token BECAUSE "because" AUDIT "audit" QUIET "quiet" TAG "tag" LIMIT "limit" OVER "over" DELAY "delay"
%token NOT "not" AND "and" OR "or" MASK "mask" IN "in" HAS "has" ANY "any" ONLY "only" IS "is"
%token UNDER "under" MATCHES "matches" WITHIN "within" CLAMP "clamp"
%token HIDE "hide" NULLED "nulled" OVERLAY "overlay" SCRATCH "scratch"
%token RUN "run" ARGV "argv" ARGC "argc"
%token EXPECT "expect" PROVE "prove" NO "no" CALL "call" PHASE "phase" BY "by" FIRST "first"

%token ARROW "->" EQ "==" NE "!=" LE "<=" GE ">=" LT "<" GT ">"
%token ASSIGN "=" OR_ASSIGN "|=" AND_ASSIGN "&=" DOTDOT ".." DOT "." COMMA ","
%token BAR "|" TILDE "~" LPAREN "(" RPAREN ")" LBRACE "{" RBRACE "}" LBRACKET "[" RBRACKET "]"

%token <struct ast_name *> IDENT GROUP
%token <struct ast_val *> NUMBER SIZE CONST VAR
%token <struct dsl_rate> RATE
%token <struct ast_str *> STRING
%token <struct ast_path *> PATH
%token <struct ast_addr *> ADDR
%token <unsigned> VERB NVERB PROTO

%nterm <struct ast_rule_list> rules
%nterm <struct ast_rule *> rule
%nterm <enum ast_mode> mode_opt
%nterm <enum ast_verdict> verdict
%nterm <struct ast_val *> val atom as_opt size_opt
%nterm <struct ast_val_list> atoms
%nterm <struct ast_target_list> targets excepts
%nterm <struct ast_target *> target except_target
%nterm <struct ast_assign_list> set_opt assigns
%nterm <struct ast_assign *> assign
%nterm <enum ast_assign_op> assign_op
%nterm <struct ast_cond *> if_opt cond conj neg test
%nterm <struct ast_cond_list> conds conjs
%nterm <struct ast_outcome> else_opt outcome
%nterm <struct ast_arm_list> arms
%nterm <struct ast_arm *> arm
%nterm <struct ast_notes> notes note
%nterm <struct ast_limit *> limit
%nterm <struct dsl_rate> limit_rate
%nterm <struct ast_term *> term
%nterm <struct ast_str *> plain
%nterm <struct ast_name *> term_name phase_opt enters_opt in_opt
%nterm <enum ast_cmp> cmp
%nterm <enum ast_cond_kind> bits
%nterm <struct ast_item_list> items
%nterm <struct ast_item *> item
%nterm <struct ast_path *> path
%nterm <struct ast_path_list> paths
%nterm <struct ast_file_list> files
%nterm <struct ast_file *> file
%nterm <unsigned> verbs verbs_opt
%nterm <enum ast_file_kind> file_kind
%nterm <struct ast_net_list> net
%nterm <struct ast_net *> net_rule
%nterm <struct ast_addr_list> addrs
%nterm <struct ast_addr *> addr
%nterm <struct ast_exec_list> exec
%nterm <struct ast_exec *> exec_rule
%nterm <struct ast_argv_list> argv_opt argvs
%nterm <struct ast_argv *> argv_test argv_cmp
%nterm <bool> not_opt rest_opt
%nterm <struct ast_test_list> tests
%nterm <struct ast_test *> test_stmt by_opt
%nterm <struct ast_arg_list> args args_opt
%nterm <struct ast_arg *> arg arg_value

%%

/* The lists of statements are stored as they grow: an error at the end of a section ends the parse. */
input:
  START_RULES rules
| START_FILES files
| START_NET net
| START_EXEC exec
| START_TESTS tests
| START_OUTCOME outcome	{ dsl->out.outcome = $2; }
| START_TARGETS targets	{ dsl->out.targets = $2.first; }
| START_AFTER "first" IDENT	{ dsl->out.after = $3; }
| START_OUTCOME error RESYNC	{ yyerrok; }
| START_TARGETS error RESYNC	{ yyerrok; }
| START_AFTER error RESYNC	{ yyerrok; }
;

/* ---- rules ---- */

rules:
  %empty	{ $$ = (struct ast_rule_list){ 0 }; }
| rules rule	{ $$ = $1; dsl_append(dsl, $$, $2); dsl->out.rules = $$.first; }
| rules error RESYNC	{ $$ = $1; yyerrok; }
;

rule:
  "never" targets if_opt notes {
	$$ = dsl_new(dsl, ast_rule);
	$$->kind = AST_RULE_NEVER;
	$$->span = @$;
	$$->targets = $2.first;
	$$->cond = $3;
	$$->notes = $4;
  }
| mode_opt verdict targets as_opt set_opt if_opt else_opt notes {
	$$ = dsl_new(dsl, ast_rule);
	$$->kind = AST_RULE_SIMPLE;
	$$->span = @$;
	$$->mode = $1;
	$$->targets = $3.first;
	$$->out = (struct ast_outcome){ .verdict = $2, .as = $4, .span = @2 };
	$$->set = $5.first;
	$$->cond = $6;
	$$->other = $7;
	$$->notes = $8;
  }
| mode_opt "on" IDENT "{" arms "}" {
	$$ = dsl_new(dsl, ast_rule);
	$$->kind = AST_RULE_BLOCK;
	$$->span = @$;
	$$->mode = $1;
	$$->targets = dsl_target(dsl, @3, $3, false);
	$$->arms = $5.first;
  }
;

mode_opt:
  %empty	{ $$ = AST_MODE_NONE; }
| "extend"	{ $$ = AST_MODE_EXTEND; }
| "replace"	{ $$ = AST_MODE_REPLACE; }
;

verdict:
  "allow"	{ $$ = AST_ALLOW; }
| "deny"	{ $$ = AST_DENY; }
| "terminate"	{ $$ = AST_TERMINATE; }
| "trap"	{ $$ = AST_TRAP; }
| "ask"		{ $$ = AST_ASK; }
| "emulate"	{ $$ = AST_EMULATE; }
;

outcome:
  verdict as_opt	{ $$ = (struct ast_outcome){ .verdict = $1, .as = $2, .span = @$ }; }
;

targets:
  target		{ $$ = (struct ast_target_list){ 0 }; dsl_append(dsl, $$, $1); }
| targets "," target	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

target:
  except_target
| GROUP "except" "{" excepts "}" {
	$$ = dsl_target(dsl, @$, $1, true);
	$$->except = $4.first;
  }
;

excepts:
  except_target			{ $$ = (struct ast_target_list){ 0 }; dsl_append(dsl, $$, $1); }
| excepts "," except_target	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

except_target:
  IDENT	{ $$ = dsl_target(dsl, @$, $1, false); }
| GROUP	{ $$ = dsl_target(dsl, @$, $1, true); }
;

as_opt: %empty { $$ = NULL; } | "as" val { $$ = $2; } ;

set_opt: %empty { $$ = (struct ast_assign_list){ 0 }; } | "set" assigns { $$ = $2; } ;

assigns:
  assign		{ $$ = (struct ast_assign_list){ 0 }; dsl_append(dsl, $$, $1); }
| assigns "," assign	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

assign:
  term assign_op val {
	$$ = dsl_new(dsl, ast_assign);
	$$->span = @$;
	$$->term = $1;
	$$->op = $2;
	$$->val = $3;
  }
;

assign_op:
  "="		{ $$ = AST_SET; }
| "|="		{ $$ = AST_SET_OR; }
| "&="		{ $$ = AST_SET_AND; }
| "clamp"	{ $$ = AST_CLAMP; }
;

if_opt: %empty { $$ = NULL; } | "if" cond { $$ = $2; } ;

else_opt:
  %empty			{ $$ = (struct ast_outcome){ 0 }; }
| "else" verdict as_opt	{ $$ = (struct ast_outcome){ .verdict = $2, .as = $3, .span = @$ }; }
;

arms:
  arm			{ $$ = (struct ast_arm_list){ 0 }; dsl_append(dsl, $$, $1); }
| arms arm		{ $$ = $1; dsl_append(dsl, $$, $2); }
| error RESYNC_ARM	{ $$ = (struct ast_arm_list){ 0 }; yyerrok; }
| arms error RESYNC_ARM	{ $$ = $1; yyerrok; }
;

arm:
  cond "->" verdict as_opt set_opt notes {
	$$ = dsl_arm(dsl, @$, (struct ast_outcome){ $3, $4, @3 }, $5, $6);
	$$->cond = $1;
  }
| "else" "->" verdict as_opt set_opt notes {
	$$ = dsl_arm(dsl, @$, (struct ast_outcome){ $3, $4, @3 }, $5, $6);
  }
;

/* ---- notes ---- */

notes:
  %empty	{ $$ = (struct ast_notes){ 0 }; }
| notes note	{ $$ = $1; dsl_note_merge(dsl, &$$, $2, @2); }
;

note:
  "because" STRING	{ $$ = (struct ast_notes){ .because = $2 }; }
| "audit"		{ $$ = (struct ast_notes){ .audit = true, .audit_span = @$ }; }
| "quiet"		{ $$ = (struct ast_notes){ .quiet = true, .quiet_span = @$ }; }
| "tag" STRING		{ $$ = (struct ast_notes){ .tag = $2 }; }
| limit			{ $$ = (struct ast_notes){ .limit = $1 }; }
;

limit:
  "limit" limit_rate "over" "delay" {
	$$ = dsl_new(dsl, ast_limit);
	*$$ = (struct ast_limit){ @$, $2.count, $2.per_ns, AST_OVER_DELAY, NULL };
  }
| "limit" limit_rate "over" "deny" as_opt {
	$$ = dsl_new(dsl, ast_limit);
	*$$ = (struct ast_limit){ @$, $2.count, $2.per_ns, AST_OVER_DENY, $5 };
  }
| "limit" limit_rate "over" "terminate" {
	$$ = dsl_new(dsl, ast_limit);
	*$$ = (struct ast_limit){ @$, $2.count, $2.per_ns, AST_OVER_TERMINATE, NULL };
  }
;

limit_rate:
  NUMBER	{ $$ = (struct dsl_rate){ .count = $1->num }; }
| RATE
;

/* ---- conditions ---- */

cond:
  conds		{ $$ = dsl_cond_list(dsl, @$, AST_COND_OR, $1); }
;

conds:
  conj			{ $$ = (struct ast_cond_list){ 0 }; dsl_append(dsl, $$, $1); }
| conds "or" conj	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

conj:
  conjs		{ $$ = dsl_cond_list(dsl, @$, AST_COND_AND, $1); }
;

conjs:
  neg			{ $$ = (struct ast_cond_list){ 0 }; dsl_append(dsl, $$, $1); }
| conjs "and" neg	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

neg:
  "not" neg {
	struct ast_cond_list one = { 0 };

	dsl_append(dsl, one, $2);
	$$ = dsl_cond_list(dsl, @$, AST_COND_NOT, one);
  }
| "(" cond ")"	{ $$ = $2; }
| test
;

test:
  term cmp val {
	$$ = dsl_cond(dsl, @$, AST_COND_CMP, $1);
	$$->cmp = $2;
	$$->val = $3;
  }
| term "mask" val cmp val {
	$$ = dsl_cond(dsl, @$, AST_COND_MASK, $1);
	$$->mask = $3;
	$$->cmp = $4;
	$$->val = $5;
  }
| term "in" "{" items "}"	{ $$ = dsl_cond(dsl, @$, AST_COND_IN, $1); $$->items = $4.first; }
| term bits val		{ $$ = dsl_cond(dsl, @$, $2, $1); $$->val = $3; }
| term "is" IDENT	{ $$ = dsl_cond(dsl, @$, AST_COND_IS, $1); $$->word = $3; }
| term "under" path	{ $$ = dsl_cond(dsl, @$, AST_COND_UNDER, $1); $$->path = $3; }
| term "matches" path	{ $$ = dsl_cond(dsl, @$, AST_COND_MATCHES, $1); $$->path = $3; }
| term "within" plain	{ $$ = dsl_cond(dsl, @$, AST_COND_WITHIN, $1); $$->str = $3; }
;

bits:
  "has"		{ $$ = AST_COND_HAS; }
| "any"		{ $$ = AST_COND_ANY; }
| "only"	{ $$ = AST_COND_ONLY; }
;

term:
  term_name {
	$$ = dsl_new(dsl, ast_term);
	$$->span = @$;
	$$->name = $1->text;
  }
| term_name "." term_name {
	$$ = dsl_new(dsl, ast_term);
	$$->span = @$;
	$$->name = $1->text;
	$$->field = $3->text;
	$$->field_span = @3;
  }
;

term_name:
  IDENT
| "mask"	{ $$ = dsl_name(dsl, @1, "mask", 4); }
;

cmp:
  "=="	{ $$ = AST_EQ; }
| "!="	{ $$ = AST_NE; }
| "<"	{ $$ = AST_LT; }
| "<="	{ $$ = AST_LE; }
| ">"	{ $$ = AST_GT; }
| ">="	{ $$ = AST_GE; }
;

items:
  item			{ $$ = (struct ast_item_list){ 0 }; dsl_append(dsl, $$, $1); }
| items "," item	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

item:
  val		{ $$ = dsl_item(dsl, @$, $1, NULL, NULL); }
| val ".." val	{ $$ = dsl_item(dsl, @$, $1, $3, NULL); }
| plain		{ $$ = dsl_item(dsl, @$, NULL, NULL, $1->text); }
;

val:
  atoms		{ $$ = dsl_val_or(dsl, @$, $1); }
;

atoms:
  atom			{ $$ = (struct ast_val_list){ 0 }; dsl_append(dsl, $$, $1); }
| atoms "|" atom	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

atom:
  NUMBER
| SIZE
| CONST
| VAR
| "~" atom	{ $$ = dsl_val_not(dsl, @$, $2); }
| "(" val ")"	{ $$ = $2; }
;

/* ---- files ---- */

files:
  %empty		{ $$ = (struct ast_file_list){ 0 }; }
| files file	{ $$ = $1; dsl_append(dsl, $$, $2); dsl->out.files = $$.first; }
| files error RESYNC	{ $$ = $1; yyerrok; }
;

file:
  verbs paths notes	{ $$ = dsl_file(dsl, @$, AST_FILE_GRANT, $1, $2, $3); }
| "deny" verbs_opt paths as_opt notes {
	$$ = dsl_file(dsl, @$, AST_FILE_DENY, $2, $3, $5);
	$$->as = $4;
  }
| file_kind paths notes	{ $$ = dsl_file(dsl, @$, $1, 0, $2, $3); }
| "scratch" paths size_opt notes {
	$$ = dsl_file(dsl, @$, AST_FILE_SCRATCH, 0, $2, $4);
	$$->size = $3;
  }
| "overlay" paths size_opt notes {
	$$ = dsl_file(dsl, @$, AST_FILE_OVERLAY, 0, $2, $4);
	$$->size = $3;
  }
;

verbs_opt: %empty { $$ = 0; } | verbs ;

verbs:
  VERB
| verbs "," VERB	{ $$ = $1 | $3; }
;

file_kind:
  "hide"	{ $$ = AST_FILE_HIDE; }
| "nulled"	{ $$ = AST_FILE_NULLED; }
;

size_opt: %empty { $$ = NULL; } | SIZE ;

paths:
  path		{ $$ = (struct ast_path_list){ 0 }; dsl_append(dsl, $$, $1); }
| paths path	{ $$ = $1; dsl_append(dsl, $$, $2); }
;

path:
  PATH
| VAR		{ $$ = dsl_path_of_var(dsl, $1); }
;

/* ---- net ---- */

net:
  %empty		{ $$ = (struct ast_net_list){ 0 }; }
| net net_rule	{ $$ = $1; dsl_append(dsl, $$, $2); dsl->out.net = $$.first; }
| net error RESYNC	{ $$ = $1; yyerrok; }
;

net_rule:
  NVERB PROTO addrs notes {
	$$ = dsl_new(dsl, ast_net);
	$$->kind = AST_NET_GRANT;
	$$->span = @$;
	$$->verb = $1;
	$$->proto = $2;
	$$->addrs = $3.first;
	$$->notes = $4;
	dsl_check_addrs(dsl, $$->proto, $$->addrs);
  }
| "deny" NVERB PROTO addrs as_opt notes {
	$$ = dsl_new(dsl, ast_net);
	$$->kind = AST_NET_DENY;
	$$->span = @$;
	$$->verb = $2;
	$$->proto = $3;
	$$->addrs = $4.first;
	$$->as = $5;
	$$->notes = $6;
	dsl_check_addrs(dsl, $$->proto, $$->addrs);
  }
;

addrs:
  addr			{ $$ = (struct ast_addr_list){ 0 }; dsl_append(dsl, $$, $1); }
| addrs "," addr	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

addr:
  ADDR
| PATH		{ $$ = dsl_addr_of_path(dsl, $1); }
| VAR		{ $$ = dsl_addr_of_var(dsl, $1); }
;

/* ---- exec ---- */

exec:
  %empty		{ $$ = (struct ast_exec_list){ 0 }; }
| exec exec_rule	{ $$ = $1; dsl_append(dsl, $$, $2); dsl->out.exec = $$.first; }
| exec error RESYNC	{ $$ = $1; yyerrok; }
;

exec_rule:
  "run" paths argv_opt "as" IDENT notes {
	$$ = dsl_new(dsl, ast_exec);
	$$->kind = AST_EXEC_RUN;
	$$->span = @$;
	$$->paths = $2.first;
	$$->argv = $3.first;
	$$->as_program = $5;
	$$->notes = $6;
  }
| "deny" paths as_opt notes {
	$$ = dsl_new(dsl, ast_exec);
	$$->kind = AST_EXEC_DENY;
	$$->span = @$;
	$$->paths = $2.first;
	$$->as = $3;
	$$->notes = $4;
  }
;

argv_opt: %empty { $$ = (struct ast_argv_list){ 0 }; } | argvs ;

argvs:
  argv_test		{ $$ = (struct ast_argv_list){ 0 }; dsl_append(dsl, $$, $1); }
| argvs "and" argv_test	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

argv_test:
  "argv" "[" NUMBER rest_opt "]" argv_cmp {
	$$ = $6;
	$$->span = @$;
	$$->index = $3;
	$$->rest = $4;
  }
| "argc" cmp NUMBER {
	$$ = dsl_new(dsl, ast_argv);
	$$->kind = AST_ARGV_COUNT;
	$$->span = @$;
	$$->cmp = $2;
	$$->count = $3;
  }
;

rest_opt: %empty { $$ = false; } | ".." { $$ = true; } ;

argv_cmp:
  not_opt "in" "{" items "}" {
	$$ = dsl_new(dsl, ast_argv);
	$$->kind = AST_ARGV_IN;
	$$->negated = $1;
	$$->items = $4.first;
  }
| not_opt "matches" plain {
	$$ = dsl_new(dsl, ast_argv);
	$$->kind = AST_ARGV_MATCHES;
	$$->negated = $1;
	$$->pattern = $3;
  }
| "==" item {
	$$ = dsl_new(dsl, ast_argv);
	$$->kind = AST_ARGV_IN;
	$$->items = $2;
  }
| "!=" item {
	$$ = dsl_new(dsl, ast_argv);
	$$->kind = AST_ARGV_IN;
	$$->negated = true;
	$$->items = $2;
  }
;

not_opt: %empty { $$ = false; } | "not" { $$ = true; } ;

/* ---- tests ---- */

tests:
  %empty		{ $$ = (struct ast_test_list){ 0 }; }
| tests test_stmt	{ $$ = $1; dsl_append(dsl, $$, $2); dsl->out.tests = $$.first; }
| tests error RESYNC	{ $$ = $1; yyerrok; }
;

test_stmt:
  "expect" outcome IDENT "(" args_opt ")" enters_opt phase_opt in_opt by_opt {
	$$ = $10;
	$$->kind = AST_TEST_EXPECT;
	$$->span = @$;
	$$->out = $2;
	$$->call = $3;
	$$->args = $5.first;
	$$->enters = $7;
	$$->phase = $8;
	$$->in = $9;
  }
| "prove" "no" "call" IDENT if_opt in_opt {
	$$ = dsl_new(dsl, ast_test);
	$$->kind = AST_TEST_NO_CALL;
	$$->span = @$;
	$$->call = $4;
	$$->cond = $5;
	$$->in = $6;
  }
| "prove" "no" IDENT "under" path in_opt {
	$$ = dsl_new(dsl, ast_test);
	$$->kind = AST_TEST_NO_VERB;
	$$->span = @$;
	$$->verb = dsl_verb(dsl, $3);
	$$->path = $5;
	$$->in = $6;
  }
| "prove" "no" IDENT plain in_opt {
	$$ = dsl_new(dsl, ast_test);
	$$->kind = AST_TEST_NO_NVERB;
	$$->span = @$;
	$$->nverb = dsl_nverb(dsl, $3);
	$$->str = $4;
	$$->in = $5;
  }
| "prove" "within" plain {
	$$ = dsl_new(dsl, ast_test);
	$$->kind = AST_TEST_WITHIN;
	$$->span = @$;
	$$->str = $3;
  }
;

plain:
  STRING {
	$$ = $1;
	if ($1->pieces)
		dsl_no_vars(dsl, @1);
  }
;

phase_opt: %empty { $$ = NULL; } | "phase" IDENT { $$ = $2; } ;

enters_opt: %empty { $$ = NULL; } | "as" IDENT { $$ = $2; } ;

in_opt: %empty { $$ = NULL; } | "in" IDENT { $$ = $2; } ;

by_opt:
  %empty	{ $$ = dsl_new(dsl, ast_test); }
| "by" "never"	{ $$ = dsl_new(dsl, ast_test); $$->by_never = true; }
| "by" plain	{ $$ = dsl_new(dsl, ast_test); $$->by = $2; }
;

args_opt: %empty { $$ = (struct ast_arg_list){ 0 }; } | args ;

args:
  arg		{ $$ = (struct ast_arg_list){ 0 }; dsl_append(dsl, $$, $1); }
| args "," arg	{ $$ = $1; dsl_append(dsl, $$, $3); }
;

arg:
  arg_value
| term_name "=" arg_value {
	$$ = $3;
	$$->name = $1->text;
	$$->span = @$;
  }
;

arg_value:
  val		{ $$ = dsl_arg(dsl, @$, AST_ARG_VAL); $$->val = $1; }
| STRING	{ $$ = dsl_arg(dsl, @$, AST_ARG_STRING); $$->str = $1->text; $$->pieces = $1->pieces; }
| PATH		{ $$ = dsl_arg(dsl, @$, AST_ARG_PATH); $$->path = $1; }
| "any"		{ $$ = dsl_arg(dsl, @$, AST_ARG_ANY); }
| "{" items "}"	{ $$ = dsl_arg(dsl, @$, AST_ARG_LIST); $$->list = $2.first; }
;

%%

static int yyreport_syntax_error(const yypcontext_t *ctx, struct dsl *dsl)
{
	enum { MAX = YYNTOKENS };
	yysymbol_kind_t kinds[MAX];
	const char *expected[MAX];
	int n = yypcontext_expected_tokens(ctx, kinds, MAX);
	yysymbol_kind_t found = yypcontext_token(ctx);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		expected[i] = yysymbol_name(kinds[i]);
	dsl_report(dsl, *yypcontext_location(ctx), yysymbol_name(found), expected, n);
	return 0;
}
