/* Uses a verified image in every way there is. Crashes, hangs and reads outside it are the
 * failures. */
#ifndef SBX_TESTS_EXERCISE_IMAGE_H
#define SBX_TESTS_EXERCISE_IMAGE_H

#include "policy/image.h"

void exercise_image(const struct pol_image *img);

/* Verifies a copy of bytes, at its own size, and exercises it when it is accepted. With seal, what
 * the checksum and the size field would catch is made right first. Returns whether it was accepted.
 */
bool exercise_bytes(const void *bytes, size_t len, bool seal);

#endif
