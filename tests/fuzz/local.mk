# Fuzz targets: add NAME here, fuzz_NAME.c, what it links with, and a corpus/NAME of kept inputs.
# replay_NAME runs the target over files in `make check`; --enable-fuzzers builds fuzz_NAME itself.
fuzz_replays = tests/fuzz/replay_compile tests/fuzz/replay_decode tests/fuzz/replay_elf \
	tests/fuzz/replay_image tests/fuzz/replay_parser
decode_fixture = tests/unit/task_fixture.c tests/unit/task_fixture.h \
	tests/unit/fake_platform.c tests/unit/fake_platform.h
tests_fuzz_replay_decode_SOURCES = tests/fuzz/fuzz_decode.c tests/fuzz/replay.c $(decode_fixture)
tests_fuzz_replay_decode_LDADD = sentry/libsentry.a audit/libaudit.a policy/libpolicy.a \
	base/libbase.a $(SECCOMP_LIBS) $(JANSSON_LIBS) $(MD_LIBS) -lpthread
tests_fuzz_replay_elf_SOURCES = tests/fuzz/fuzz_elf.c tests/fuzz/replay.c
tests_fuzz_replay_elf_LDADD = sentry/libsentry.a base/libbase.a $(MD_LIBS) -lpthread
tests_fuzz_replay_parser_SOURCES = tests/fuzz/fuzz_parser.c tests/fuzz/replay.c
tests_fuzz_replay_parser_LDADD = parser/libparser.a base/libbase.a $(YAML_LIBS) $(MD_LIBS)
tests_fuzz_replay_compile_SOURCES = tests/fuzz/fuzz_compile.c tests/fuzz/replay.c $(exercise_image)
tests_fuzz_replay_compile_LDADD = policy/libpolicy.a parser/libparser.a base/libbase.a \
	$(YAML_LIBS) $(MD_LIBS)
tests_fuzz_replay_image_SOURCES = tests/fuzz/fuzz_image.c tests/fuzz/replay.c $(exercise_image)
tests_fuzz_replay_image_LDADD = policy/libpolicy.a base/libbase.a $(MD_LIBS)
exercise_image = tests/fuzz/exercise_image.c tests/fuzz/exercise_image.h

if FUZZERS
noinst_PROGRAMS += tests/fuzz/fuzz_compile tests/fuzz/fuzz_decode tests/fuzz/fuzz_elf \
	tests/fuzz/fuzz_image tests/fuzz/fuzz_parser
tests_fuzz_fuzz_compile_SOURCES = tests/fuzz/fuzz_compile.c $(exercise_image)
tests_fuzz_fuzz_compile_LDADD = $(tests_fuzz_replay_compile_LDADD)
tests_fuzz_fuzz_compile_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_image_SOURCES = tests/fuzz/fuzz_image.c $(exercise_image)
tests_fuzz_fuzz_image_LDADD = $(tests_fuzz_replay_image_LDADD)
tests_fuzz_fuzz_image_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_decode_SOURCES = tests/fuzz/fuzz_decode.c $(decode_fixture)
tests_fuzz_fuzz_decode_LDADD = $(tests_fuzz_replay_decode_LDADD)
tests_fuzz_fuzz_decode_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_elf_SOURCES = tests/fuzz/fuzz_elf.c
tests_fuzz_fuzz_elf_LDADD = $(tests_fuzz_replay_elf_LDADD)
tests_fuzz_fuzz_elf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_parser_SOURCES = tests/fuzz/fuzz_parser.c
tests_fuzz_fuzz_parser_LDADD = $(tests_fuzz_replay_parser_LDADD)
tests_fuzz_fuzz_parser_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

check_PROGRAMS += $(fuzz_replays)
dist_check_SCRIPTS += tests/fuzz/replay.t
dist_check_SCRIPTS += tests/fuzz/fuzz.t

# The corpora, then a little fuzzing: for a tree configured with --enable-fuzzers CC=clang.
check-fuzz: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='tests/fuzz/replay.t tests/fuzz/fuzz.t'
.PHONY: check-fuzz
