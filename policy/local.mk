EXTRA_DIST += policy/eval.h policy/image.h policy/compile.h
