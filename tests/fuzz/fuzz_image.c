/* Compiled policies from anywhere: whatever the loader accepts can be used without harm. */
#include "tests/fuzz/exercise_image.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	exercise_bytes(data, len, false);
	exercise_bytes(data, len, true);
	return 0;
}
