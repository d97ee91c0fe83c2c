/* Words of the language, for messages and printers. */
#include "parser/ast.h"

const char *ast_verdict_name(enum ast_verdict v)
{
	switch (v) {
	case AST_ALLOW:
		return "allow";
	case AST_DENY:
		return "deny";
	case AST_TERMINATE:
		return "terminate";
	case AST_TRAP:
		return "trap";
	case AST_ASK:
		return "ask";
	case AST_EMULATE:
		return "emulate";
	}
	return "?";
}

const char *ast_verb_name(enum ast_verb v)
{
	switch (v) {
	case AST_V_READ:
		return "read";
	case AST_V_LIST:
		return "list";
	case AST_V_STAT:
		return "stat";
	case AST_V_WRITE:
		return "write";
	case AST_V_APPEND:
		return "append";
	case AST_V_CREATE:
		return "create";
	case AST_V_DELETE:
		return "delete";
	case AST_V_EXEC:
		return "exec";
	case AST_V_LINK:
		return "link";
	case AST_V_CONNECT:
		return "connect";
	}
	return "?";
}

const char *ast_nverb_name(enum ast_nverb v)
{
	switch (v) {
	case AST_NET_CONNECT:
		return "connect";
	case AST_NET_LISTEN:
		return "listen";
	case AST_NET_SEND:
		return "send";
	}
	return "?";
}

const char *ast_proto_name(enum ast_proto p)
{
	switch (p) {
	case AST_PROTO_TCP:
		return "tcp";
	case AST_PROTO_UDP:
		return "udp";
	case AST_PROTO_UNIX:
		return "unix";
	}
	return "?";
}

const char *ast_var_type_name(enum ast_var_type t)
{
	switch (t) {
	case AST_VAR_PATH:
		return "path";
	case AST_VAR_PORT:
		return "port";
	case AST_VAR_ADDR:
		return "addr";
	case AST_VAR_NUMBER:
		return "number";
	case AST_VAR_SIZE:
		return "size";
	}
	return "?";
}
