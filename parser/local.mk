noinst_LIBRARIES += parser/libparser.a
parser_libparser_a_SOURCES = \
	parser/ast.c parser/ast.h \
	parser/ast_print.c \
	parser/build.c \
	parser/diag.c parser/diag.h \
	parser/document.c parser/document.h \
	parser/dsl.c parser/dsl.h parser/dsl_scan.h \
	parser/keyword.c \
	parser/parser.c parser/parser.h \
	parser/print.c parser/print.h \
	parser/report.c \
	parser/scalar.c \
	parser/sections.c \
	parser/source.c parser/source.h \
	parser/token.c \
	parser/yaml.c parser/yaml.h
parser_libparser_a_CPPFLAGS = $(AM_CPPFLAGS) $(YAML_CFLAGS)

# Generated, not in git, but in the tarball: a release is built without bison and flex.
parser_libparser_a_SOURCES += parser/grammar.c parser/grammar.h parser/lexer.c
EXTRA_DIST += parser/grammar.y parser/lexer.l
BUILT_SOURCES += parser/grammar.h
MAINTAINERCLEANFILES = parser/grammar.c parser/grammar.h parser/lexer.c

parser/grammar.c: parser/grammar.y
	@$(MKDIR_P) parser
	$(AM_V_GEN)$(BISON) -Wall -Werror --defines=parser/grammar.h -o $@ $(srcdir)/parser/grammar.y && \
		touch parser/grammar.h
parser/grammar.h: parser/grammar.c
	@test -f $@ || { rm -f parser/grammar.c; $(MAKE) $(AM_MAKEFLAGS) parser/grammar.c; }
parser/lexer.c: parser/lexer.l
	@$(MKDIR_P) parser
	$(AM_V_GEN)$(LEX) -o $@ $(srcdir)/parser/lexer.l
$(parser_libparser_a_OBJECTS): parser/grammar.h
