#!/bin/sh
# TAP: make -j2 builds a C project of 60 files with gcc and with clang under
# examples/policies/build.pol; the objects, the library and the program are those of a native run.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
big_test
need_sbx
new_dir
mkdir "$dir/in"
cd "$dir/in" || exit 1
export LC_ALL=C TZ=UTC0 HOME="$dir/work" PATH=/usr/local/bin:/usr/bin:/bin LIMIT=300
for tool in make gcc clang; do
	command -v $tool >/dev/null && continue
	must kvm && { echo "Bail out! $tool is not installed"; exit 1; }
	echo "1..0 # SKIP no $tool"
	exit 0
done

mkdir lib
files=60
i=0
while [ $i -lt $files ]; do
	i=$((i + 1))
	cat >lib/f$i.c <<C
#include <stdlib.h>
#include <string.h>
#include "proj.h"

struct node$i { struct node$i *next; int value; };

int f$i(int x)
{
	struct node$i *list = NULL, *n;
	char text[32];
	int sum = 0;

	for (int k = 0; k < x; k++) {
		n = malloc(sizeof(*n));
		n->next = list;
		n->value = k * $i + BASE;
		list = n;
	}
	while ((n = list)) {
		sum += n->value;
		list = n->next;
		free(n);
	}
	proj_text(text, sizeof(text), sum);
	return sum + (int)strlen(text);
}
C
done
{
	echo '#include <stddef.h>'
	echo '#define BASE 3'
	echo 'void proj_text(char *buf, size_t size, int n);'
	seq 1 $files | sed 's/.*/int f&(int);/'
} >lib/proj.h
printf '#include <stdio.h>\n#include "proj.h"\nvoid proj_text(char *b, size_t n, int v)\n{\n\tsnprintf(b, n, "<%%d>", v);\n}\n' >lib/text.c
{
	printf '#include <stdio.h>\n#include "lib/proj.h"\nint main(void)\n{\n\tlong s = 0;\n'
	seq 1 $files | sed 's/.*/\ts += f&(20);/'
	printf '\tprintf("%%ld\\n", s);\n\treturn 0;\n}\n'
} >main.c
cat >Makefile <<'M'
CFLAGS = -O2 -Wall -Wextra -MMD
SRC := $(sort $(wildcard lib/*.c))
prog: main.o libproj.a
	$(CC) -o $@ main.o libproj.a
libproj.a: $(SRC:.c=.o)
	rm -f $@ && $(AR) rcD $@ $^
%.o: %.c
	@$(CC) $(CFLAGS) -c -o $@ $<
check: prog
	./prog | tee out | grep -q '^[0-9]*$$'
clean:
	rm -f prog *.[ado] lib/*.o lib/*.d libproj.*
-include $(SRC:.c=.d) main.d
.PHONY: check clean
M
opts="--policy $policies/build.pol --param src=$dir"
AFTER='cat out; ls lib | wc -l; sha256sum prog libproj.a lib/*.o | sort'
for cc in gcc clang; do
	same "make -j2 with $cc: $((files + 2)) files" $opts -- /usr/bin/make -s -j2 CC=$cc check
done
AFTER='ls; ls lib | wc -l'
cp -a "$dir/work/." "$dir/in/"
same "make: nothing to do, a touched file, clean" $opts -- /bin/sh -c \
	'make -j2 -q CC=clang; echo $?; rm lib/f7.o; make -s -j2 CC=clang check && make clean'
tap_end
